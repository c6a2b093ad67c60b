"""What a container of a training may do, seen from inside each of them."""

from __future__ import annotations

import json

import pytest

from .documents import digits
from .kubectl import eventually

LOOK = r"""
import json, os
status = dict(line.split(":\t", 1) for line in open("/proc/self/status").read().splitlines() if ":\t" in line)
def writable(path):
    try:
        open(os.path.join(path, "x"), "w").close()
    except OSError as error:
        return error.strerror
    return "written"
print(json.dumps({
    "uid": os.getuid(), "groups": os.getgroups(), "capabilities": status["CapEff"].strip(),
    "bounding": status["CapBnd"].strip(), "seccomp": status["Seccomp"].strip(), "nnp": status["NoNewPrivs"].strip(),
    "token": os.path.exists("/var/run/secrets/kubernetes.io"), "root": writable("/"), "usr": writable("/usr"),
    "opt": writable("/opt/shieldwall"),
    "kubernetes": [name for name in os.environ if name.startswith("KUBERNETES_SERVICE")],
}))
"""


@pytest.fixture(scope="module")
def pods(site, kubectl):
    kubectl.apply(digits(site.images.digits, 3, 200))
    eventually(lambda: kubectl.status("digits").get("round", 0) >= 1, 180)
    return kubectl.all("pods", "shieldwall.dev/training=digits")


def containers(pod):
    spec = pod["spec"]
    return [*spec["containers"], *(each for each in spec["initContainers"] if each.get("restartPolicy") == "Always")]


def test_no_container_has_root_a_capability_a_token_or_a_writable_root(pods, kubectl):
    """Asked from inside: the kernel's word, not the manifest's."""
    assert len(pods) == 5
    for pod in pods:
        for container in containers(pod):
            name = f"{pod['metadata']['name']}/{container['name']}"
            seen = json.loads(kubectl.run(pod["metadata"]["name"], container["name"], "python3", "-c", LOOK))
            assert seen["uid"] != 0, name
            assert 0 not in seen["groups"], name
            assert int(seen["capabilities"], 16) == 0, name
            assert int(seen["bounding"], 16) == 0, name
            assert seen["seccomp"] == "2", name
            assert seen["nnp"] == "1", name
            assert seen["token"] is False, name
            for where in ("root", "usr", "opt"):
                assert seen[where] in {"Read-only file system", "Permission denied"}, (name, where, seen[where])
            assert seen["root"] == "Read-only file system", name


def test_the_restricted_standard_admits_every_pod_without_a_warning(pods, kubectl):
    """The namespace enforces it, so they are there; asked again, so that a warning would be seen."""
    for pod in pods:
        copy = {"apiVersion": "v1", "kind": "Pod", "spec": pod["spec"]}
        copy["metadata"] = {"name": "a-copy"}
        kubectl("create", "--dry-run=server", "--warnings-as-errors", "-f", "-", stdin=json.dumps(copy))
    told = kubectl("get", "events", "-o", "json")
    assert "violates PodSecurity" not in told


def test_a_container_sees_the_keys_that_are_its_own_and_no_others(pods, kubectl):
    """The trainer and the aggregator run the user's code: neither holds a key of the mesh."""
    for pod in pods:
        for container in containers(pod):
            mounts = {mount["mountPath"] for mount in container.get("volumeMounts", [])}
            if container["name"] in {"trainer", "aggregator"}:
                assert not any(path.startswith(("/etc/shieldwall/tls", "/etc/shieldwall/node")) for path in mounts)
