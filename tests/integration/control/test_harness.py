"""The real API server that the control plane's tests stand on: it is one, it keeps what it is told, and it ends."""

from __future__ import annotations

import datetime as dt
import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from harness.apiserver import ApiServer
from harness.controller_manager import ControllerManager
from harness.crds import install_crds
from harness.kwok import Kwok
from harness.process import Component, ComponentError, until
from harness.scheduler import Scheduler
from harness.tools import MissingToolError, binary
from ruamel.yaml import YAML

if TYPE_CHECKING:
    from collections.abc import Iterator

    from harness.audit import Request

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[3]
NAMESPACE = "/api/v1/namespaces/default"
POD = {"containers": [{"name": "main", "image": "image"}]}


@pytest.fixture(scope="module")
def server(tmp_path_factory) -> Iterator[ApiServer]:
    with ApiServer(tmp_path_factory.mktemp("cluster")) as server:
        yield server


@pytest.fixture(scope="module")
def controllers(server) -> Iterator[None]:
    with ControllerManager(server):
        yield


@pytest.fixture(scope="module")
def node(server, controllers) -> Iterator[None]:
    with Scheduler(server), Kwok(server):
        yield


def config_map(name: str, **metadata: Any) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, **metadata}}


def there(server: ApiServer, path: str) -> bool:
    try:
        return bool(server.request("GET", path))
    except httpx.HTTPStatusError as error:
        if error.response.status_code != httpx.codes.NOT_FOUND:
            raise
        return False


def kubectl(kubeconfig: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [binary("kubectl"), "--kubeconfig", kubeconfig, *arguments], capture_output=True, text=True, check=False
    )


def runs(pid: int) -> bool:
    """A process that has ended but was not waited for has no command line."""
    try:
        return bool(Path(f"/proc/{pid}/cmdline").read_bytes())
    except (FileNotFoundError, ProcessLookupError):
        return False


def crowd() -> float:
    """How many want each processor, and at least one: what takes ten seconds takes longer among others."""
    return max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))


def test_a_second_server_is_ready_in_ten_seconds_and_ends_with_its_block(server, tmp_path):
    began = time.monotonic()
    with ApiServer(tmp_path) as second:
        assert time.monotonic() - began < 10 * crowd()
        second.request("POST", f"{NAMESPACE}/configmaps", config_map("elsewhere"))
        assert not there(server, f"{NAMESPACE}/configmaps/elsewhere")
        pids = [component.pid for component in second.components]
        assert len(pids) == 2
        assert all(map(runs, pids))
    assert not any(map(runs, pids))


def test_it_says_which_version_it_is(server):
    pinned = (ROOT / "e2e/cluster/kubernetes/go.mod").read_text()
    assert f"k8s.io/kubernetes {server.request('GET', '/version')['gitVersion']} " in pinned


def test_the_custom_resource_definition_is_accepted_and_served(server):
    file = ROOT / "crds/shieldwall.dev_federatedtrainings.yaml"
    install_crds(server, file)
    spec = YAML(typ="safe").load(file)["spec"]
    kinds = f"/apis/{spec['group']}/{spec['versions'][0]['name']}/namespaces/default/{spec['names']['plural']}"
    assert server.request("GET", kinds)["items"] == []


def test_every_kind_of_patch_is_sent_as_what_it_is(server):
    path = f"{NAMESPACE}/configmaps/patched"
    server.request("PATCH", path, {**config_map("patched"), "data": {"a": "1"}})
    server.request("PATCH", path, {"data": {"b": "2"}}, patch="merge")
    server.request("PATCH", path, {"data": {"$patch": "replace", "c": "3"}}, patch="strategic-merge")
    change = [{"op": "add", "path": "/data/d", "value": "4"}]
    assert server.request("PATCH", path, change, patch="json")["data"] == {"c": "3", "d": "4"}


def test_the_audit_log_says_who_was_refused_and_which_binding_let_whom_through(server):
    began = dt.datetime.now(dt.UTC)
    kubeconfig = server.kubeconfig("berta", ["team"])
    assert "cannot create resource" in kubectl(kubeconfig, "create", "configmap", "mine").stderr
    admin = server.kubeconfig()
    kubectl(admin, "create", "role", "writer", "--verb=create", "--resource=configmaps").check_returncode()
    kubectl(admin, "create", "rolebinding", "writers", "--role=writer", "--group=team").check_returncode()
    until(lambda: kubectl(kubeconfig, "create", "configmap", "mine").returncode == 0, 10, pause=0.5)

    def writes() -> list[Request]:
        return [request for request in server.audit.requests("berta", began) if request.writes]

    until(lambda: writes()[-1].code == httpx.codes.CREATED, 5)
    assert writes()[0].code == httpx.codes.FORBIDDEN
    allowed = writes()[-1]
    assert (allowed.verb, allowed.resource, allowed.namespace) == ("create", "configmaps", "default")
    assert allowed.name == "mine"
    assert 'RoleBinding "writers/default" of Role "writer"' in allowed.reason
    assert server.audit.requests("berta", dt.datetime.now(dt.UTC)) == []


def test_a_token_is_that_of_its_service_account(server):
    server.request("POST", f"{NAMESPACE}/serviceaccounts", {"metadata": {"name": "robot"}})
    kubeconfig = server.kubeconfig_for_token(server.token("default", "robot"), "robot")
    answer = kubectl(kubeconfig, "auth", "whoami", "--output=json")
    assert json.loads(answer.stdout)["status"]["userInfo"]["username"] == "system:serviceaccount:default:robot"


def test_pod_security_is_enforced(server):
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    server.request("POST", "/api/v1/namespaces", {"metadata": {"name": "strict", "labels": labels}})
    server.request("POST", "/api/v1/namespaces/strict/serviceaccounts", {"metadata": {"name": "default"}})
    with pytest.raises(httpx.HTTPStatusError, match="violates PodSecurity"):
        server.request("POST", "/api/v1/namespaces/strict/pods", {"metadata": {"name": "bold"}, "spec": POD})


def test_a_validating_admission_policy_is_enforced(server):
    kinds = {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["configmaps"]}
    spec = {
        "matchConstraints": {"resourceRules": [kinds]},
        "validations": [{"expression": "object.metadata.name != 'forbidden'", "message": "not this one"}],
    }
    for resource, body in {
        "validatingadmissionpolicies": spec,
        "validatingadmissionpolicybindings": {"policyName": "names", "validationActions": ["Deny"]},
    }.items():
        path = f"/apis/admissionregistration.k8s.io/v1/{resource}"
        server.request("POST", path, {"metadata": {"name": "names"}, "spec": body})

    def refused() -> bool:
        try:
            server.request("POST", f"{NAMESPACE}/configmaps?dryRun=All", config_map("forbidden"))
        except httpx.HTTPStatusError as error:
            return "not this one" in error.response.text
        return False

    until(refused, 10)
    server.request("POST", f"{NAMESPACE}/configmaps?dryRun=All", config_map("permitted"))


def test_what_an_object_owned_is_collected_when_it_goes(server, controllers):
    path = f"{NAMESPACE}/configmaps"
    owner = server.request("POST", path, config_map("owner"))["metadata"]
    reference = {"apiVersion": "v1", "kind": "ConfigMap", "name": "owner", "uid": owner["uid"]}
    server.request("POST", path, config_map("owned", ownerReferences=[reference]))
    server.request("POST", path, config_map("free"))
    server.request("DELETE", f"{path}/owner")
    until(lambda: not there(server, f"{path}/owned"), 20)
    assert there(server, f"{path}/free")


def test_the_pod_of_a_deployment_becomes_ready(server, node):
    template = {"metadata": {"labels": {"app": "web"}}, "spec": POD}
    spec = {"replicas": 1, "selector": {"matchLabels": {"app": "web"}}, "template": template}
    path = "/apis/apps/v1/namespaces/default/deployments"
    server.request("POST", path, {"metadata": {"name": "web"}, "spec": spec})
    until(lambda: server.request("GET", f"{path}/web")["status"].get("readyReplicas") == 1, 20)
    (pod,) = server.request("GET", f"{NAMESPACE}/pods?labelSelector=app%3Dweb")["items"]
    assert pod["spec"]["nodeName"] == "node-0"
    assert pod["status"]["podIP"].startswith("10.244.")
    server.request("DELETE", f"{NAMESPACE}/pods/{pod['metadata']['name']}")
    until(lambda: not there(server, f"{NAMESPACE}/pods/{pod['metadata']['name']}"), 20)


def test_the_claims_of_a_stateful_set_are_bound(server, node):
    claim = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
    spec = {
        "replicas": 2,
        "serviceName": "store",
        "selector": {"matchLabels": {"app": "store"}},
        "template": {"metadata": {"labels": {"app": "store"}}, "spec": POD},
        "volumeClaimTemplates": [{"metadata": {"name": "data"}, "spec": claim}],
    }
    path = "/apis/apps/v1/namespaces/default/statefulsets"
    server.request("POST", path, {"metadata": {"name": "store"}, "spec": spec})
    until(lambda: server.request("GET", f"{path}/store")["status"].get("readyReplicas") == 2, 30)
    claims = server.request("GET", f"{NAMESPACE}/persistentvolumeclaims")["items"]
    assert [claim["status"]["phase"] for claim in claims] == ["Bound", "Bound"]


def test_a_pause_keeps_address_data_and_tokens(server):
    server.request("POST", f"{NAMESPACE}/serviceaccounts", {"metadata": {"name": "patient"}})
    server.request("POST", f"{NAMESPACE}/configmaps", config_map("kept"))
    kubeconfig = server.kubeconfig_for_token(server.token("default", "patient"), "patient")
    server.pause()
    server.pause()
    with pytest.raises(httpx.ConnectError):
        server.request("GET", NAMESPACE)
    assert [component.name for component in server.components] == ["etcd"]
    # Whoever wants the server back after a while does so from a thread, which then ends.
    thread = threading.Thread(target=server.resume)
    thread.start()
    thread.join()
    assert there(server, f"{NAMESPACE}/configmaps/kept")
    assert "system:serviceaccount:default:patient" in kubectl(kubeconfig, "auth", "whoami").stdout
    assert any(request.name == "kept" and request.verb == "create" for request in server.audit.requests("admin"))


def test_a_component_outlives_the_thread_that_starts_it(tmp_path):
    started: list[Component] = []
    thread = threading.Thread(target=lambda: started.append(Component("sleep", ["sleep", "60"], tmp_path)))
    thread.start()
    thread.join()
    try:
        with pytest.raises(subprocess.TimeoutExpired):
            started[0]._process.wait(0.5)
    finally:
        started[0].kill()


def test_a_component_does_not_outlive_a_test_process_that_is_killed(tmp_path):
    program = (
        "import pathlib, sys, time; from harness.process import Component;"
        "print(Component('sleep', ['sleep', '60'], pathlib.Path(sys.argv[1])).pid, flush=True); time.sleep(60)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, tmp_path], cwd=ROOT / "tests", stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        try:
            pid = int(process.stdout.readline())
            until(lambda: runs(pid), 5)  # a program that is just being exchanged has no command line
        finally:
            process.kill()
    until(lambda: not runs(pid), 5)


def test_a_component_that_ends_early_shows_its_log(tmp_path):
    component = Component("shell", ["sh", "-c", "echo out of luck >&2; exit 3"], tmp_path)
    with pytest.raises(ComponentError, match=r"shell ended with code 3; .*/shell.log ends with:\nout of luck"):
        component.wait_until(lambda: False, 10)


def test_a_program_that_is_not_built_names_its_builder(tmp_path, monkeypatch):
    monkeypatch.setenv("SHIELDWALL_TOOLS", str(tmp_path))
    with pytest.raises(MissingToolError, match=r"run \.ci/tools etcd"):
        binary.__wrapped__("etcd")
    with pytest.raises(MissingToolError, match="there is no 'nonsense'"):
        binary.__wrapped__("nonsense")
