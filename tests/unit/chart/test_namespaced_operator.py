"""The operator's program, as the chart installs it for one namespace: its rights there are all that it needs."""

import json
import subprocess
import sys

import pytest
from harness.apiserver import ApiServer
from harness.controller_manager import ControllerManager
from harness.crds import install_crds
from harness.process import until
from harness.tools import binary

pytestmark = pytest.mark.slow

ACCOUNT = "system:serviceaccount:walls:sw-shieldwall"
SPEC = {
    "app": {"image": "registry.example/digits:1", "clientApp": "digits.app:c", "model": "digits.app:m"},
    "rounds": {"count": 3},
    "clients": [{"name": "a"}, {"name": "b"}, {"name": "c"}],
}


@pytest.fixture
def server(tmp_path, chart):
    with ApiServer(tmp_path / "server") as server, ControllerManager(server):
        install_crds(server, *(chart / "files" / "crds").glob("*.yaml"))
        for name in ("walls", "fed-a", "fed-b"):
            server.request("POST", "/api/v1/namespaces", {"metadata": {"name": name}})
        yield server


def test_it_runs_a_training_without_one_right_of_the_clusters(server, render, tmp_path):
    objects = render({"watchNamespaces": ["fed-a"], "rbac": {"aggregate": False}, "test": {"enabled": False}})
    config = tmp_path / "operator.yaml"
    config.write_text(objects.one("ConfigMap")["data"]["operator.yaml"].replace("metricsPort: 8080", "metricsPort: 0"))
    release = json.dumps({"apiVersion": "v1", "kind": "List", "items": objects})
    command = [binary("kubectl"), "--kubeconfig", server.kubeconfig(), "apply", "--server-side", "-f", "-"]
    subprocess.run(command, input=release, text=True, check=True, capture_output=True)
    for namespace in ("fed-a", "fed-b"):
        body = {
            "apiVersion": "shieldwall.dev/v1alpha1",
            "kind": "FederatedTraining",
            "metadata": {"name": "digits"},
            "spec": SPEC,
        }
        server.request("POST", f"/apis/shieldwall.dev/v1alpha1/namespaces/{namespace}/federatedtrainings", body)
    login = server.kubeconfig_for_token(server.token("walls", "sw-shieldwall"), "operator")
    program = [sys.executable, "-m", "shieldwall.control.main", "--config", config, "--kubeconfig", login]
    path = "/apis/shieldwall.dev/v1alpha1/namespaces/{}/federatedtrainings/digits"
    with (tmp_path / "log").open("w") as log, subprocess.Popen(program, stderr=log) as operator:
        try:
            until(lambda: "phase" in server.request("GET", path.format("fed-a")).get("status", {}), 60)
            deployments = "/apis/apps/v1/namespaces/fed-a/deployments"
            until(lambda: len(server.request("GET", deployments)["items"]) == 3, 30)
        finally:
            operator.terminate()
    assert operator.returncode == 0, (tmp_path / "log").read_text()
    asked = server.audit.requests(user=ACCOUNT)
    assert {"federatedtrainings", "secrets", "leases"} <= {request.resource for request in asked}
    refused = [request for request in asked if request.code in {401, 403}]
    assert not refused
    assert "phase" not in server.request("GET", path.format("fed-b")).get("status", {}), (
        "another namespace is left alone"
    )
