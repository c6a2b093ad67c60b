"""What pods find on the node: a network, names, volumes, admission; and what is left when it is gone."""

from __future__ import annotations

import json
import os
import signal
import time
from contextlib import suppress
from pathlib import Path

import pytest
from cluster import cgroups, network
from cluster.archive import write_image
from cluster.commands import run
from cluster.layout import Layout
from e2e_cluster.conftest import settings
from harness.process import until

pytestmark = pytest.mark.cluster

TIMES = 10 if os.environ.get("SHIELDWALL_LONG") == "1" else 1
"""How often a cluster comes and goes."""
IMAGE = "e2e.test/other:1"
RESTRICTED = {
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "readOnlyRootFilesystem": True,
    "runAsNonRoot": True,
    "runAsUser": 1000,
    "runAsGroup": 1000,
    "seccompProfile": {"type": "RuntimeDefault"},
}


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    path = tmp_path_factory.mktemp("image") / "other.tar"
    write_image(path, IMAGE, Path("/usr/bin/catatonit"), ["-P"])
    return path


@pytest.fixture(scope="module")
def image(cluster, archive):
    assert cluster.load(archive) == [IMAGE]
    return IMAGE


@pytest.fixture(scope="module")
def namespace(kubectl):
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "fed", "labels": labels}}
    kubectl("apply", "--filename=-", given=json.dumps(body))
    until(lambda: not kubectl("--namespace=fed", "get", "serviceaccount/default", check=False).returncode, 20)
    return "fed"


def pod(name, image, *, security=RESTRICTED, claim=None):
    volumes = [{"name": "data", "persistentVolumeClaim": {"claimName": claim}}] if claim else []
    mounts = [{"name": "data", "mountPath": "/data"}] if claim else []
    container = {
        "name": "main",
        "image": image,
        "imagePullPolicy": "Never",
        "securityContext": security,
        "volumeMounts": mounts,
    }
    spec = {"containers": [container], "volumes": volumes, "securityContext": {"fsGroup": 1000}}
    return json.dumps({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec})


def test_a_loaded_image_runs_restricted(kubectl, namespace, image):
    kubectl("-n", namespace, "apply", "--filename=-", given=pod("one", image))
    kubectl("-n", namespace, "wait", "--for=condition=Ready", "pod/one", "--timeout=60s")
    address = kubectl("-n", namespace, "get", "pod/one", "--output=jsonpath={.status.podIP}")
    assert address.startswith("10.244.0.")


def test_what_is_loaded_is_loaded_again_only_when_it_is_another(cluster, image, archive, tmp_path):
    before = cluster.image(image)
    assert cluster.load(archive) == []
    others = tmp_path / "others.tar"
    write_image(others, image, Path("/usr/bin/catatonit"), ["-P", "-v"])
    assert cluster.load(archive, others) == [image]
    assert cluster.image(image) not in {before, None}
    assert cluster.load(archive) == [image]
    assert cluster.image(image) == before


def test_pod_security_is_enforced(kubectl, namespace, image):
    refused = kubectl("-n", namespace, "apply", "--filename=-", given=pod("two", image, security={}), check=False)
    assert refused.returncode
    assert "PodSecurity" in refused.stderr


def test_the_kubelet_may_change_its_own_node_only(cluster, kubectl):
    own = cluster.layout.state / "kubelet.conf"
    other = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "node-2"}}
    refused = kubectl("create", "--filename=-", given=json.dumps(other), kubeconfig=own, check=False)
    assert "is not allowed to modify node" in refused.stderr
    kubectl("annotate", "node/node-1", "e2e.test/seen=yes", kubeconfig=own)


def test_a_claim_has_a_volume_while_it_is_there(cluster, kubectl, namespace, image):
    spec = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
    body = {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "model"}, "spec": spec}
    kubectl("-n", namespace, "apply", "--filename=-", given=json.dumps(body))
    kubectl("-n", namespace, "apply", "--filename=-", given=pod("stateful", image, claim="model"))
    kubectl("-n", namespace, "wait", "--for=condition=Ready", "pod/stateful", "--timeout=60s")
    (volume,) = cluster.layout.volumes.iterdir()
    assert (volume.stat().st_gid, volume.stat().st_mode & 0o070) == (1000, 0o070)  # the pod's fsGroup
    kubectl("-n", namespace, "delete", "pod/stateful", "--grace-period=1")
    kubectl("-n", namespace, "delete", "pvc/model")
    until(lambda: not list(cluster.layout.volumes.iterdir()), 20)
    until(lambda: not kubectl("get", "pv", "--output=name"), 20)


def test_network_policies_are_enforced(cluster):
    inside = ("nsenter", f"--net={network.path(cluster.layout)}")
    assert "shieldwall_policy" in run(*inside, "nft", "list", "tables")


def test_the_machine_s_settings_are_its_own(cluster, settings_before):
    """The kubelet wants 1 and 10 there; it is told so, in files over these."""
    seen = run(*_inside(cluster), "cat", "/proc/sys/vm/overcommit_memory", "/proc/sys/kernel/panic")
    assert seen.split() == ["1", "10"]
    assert settings() == settings_before


def test_pods_outlive_the_kubelet(cluster, kubectl, namespace, image):
    kubectl("-n", namespace, "apply", "--filename=-", given=pod("survivor", image))
    kubectl("-n", namespace, "wait", "--for=condition=Ready", "pod/survivor", "--timeout=60s")
    cluster.kill_kubelet()
    refused = kubectl("-n", namespace, "logs", "survivor", check=False)
    assert "10250" in refused.stderr
    cluster.start_kubelet()
    until(lambda: not kubectl("-n", namespace, "logs", "survivor", check=False).returncode, 60)
    restarts = "--output=jsonpath={.status.containerStatuses[0].restartCount}"
    assert kubectl("-n", namespace, "get", "pod/survivor", restarts) == "0"


def test_up_again_says_that_it_runs(cluster, command):
    again = command(cluster.layout.directory, "up")
    assert "runs already" in again.stderr
    assert again.stdout == f"{cluster.kubeconfig}\n"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_half_an_up_leaves_nothing(command, directory, number):
    layout = Layout(directory)
    starting = command(directory, "up", wait=False)
    until((layout.records / "kubelet.json").exists, 60)
    starting.send_signal(number)
    starting.communicate(timeout=30)
    if number == signal.SIGKILL:
        assert left(layout)  # nobody could clean up; `down` does
        assert command(directory, "down").returncode == 0
    assert not left(layout)
    assert (layout.logs / "kubelet.log").exists()


@pytest.mark.timeout(1200)
def test_down_leaves_nothing_but_logs(command, directory):
    layout, kept = Layout(directory), {"lock", "logs"}
    for _ in range(TIMES):
        began = time.monotonic()
        assert command(directory, "up").returncode == 0
        assert time.monotonic() - began < 60
        assert {"processes", "namespace", "link", "cgroups", "state"} == left(layout)
        assert command(directory, "down").returncode == 0
        assert not left(layout)
        assert {path.name for path in directory.iterdir()} == kept
        kept = {"lock", "logs", "logs.previous"}


def left(layout):
    """What there is of a cluster on the machine. A shim's command names no path of ours: its namespace tells."""
    found = {
        "processes": any(mentions(path, layout) for path in Path("/proc").glob("[0-9]*")),
        "namespace": layout.name in run("ip", "netns"),
        "link": Path("/sys/class/net", layout.link).exists(),
        "cgroups": any((path / layout.name).exists() for path in cgroups.hierarchies()),
        "state": layout.state.exists(),
        "mounts": str(layout.directory) in Path("/proc/self/mountinfo").read_text(),
    }
    return {name for name, there in found.items() if there}


def mentions(process, layout):
    with suppress(OSError):
        mounted = (process / "mountinfo").read_text()
        return f"{layout.state}/" in mounted or f"{layout.state}/".encode() in (process / "cmdline").read_bytes()
    return False


def _inside(cluster):
    holder = json.loads((cluster.layout.records / "holder.json").read_text())["pid"]
    return ("nsenter", f"--target={holder}", "--mount", "--pid")
