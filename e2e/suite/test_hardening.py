"""What a container of a training may do, seen from inside each of them."""

from __future__ import annotations

import json
from hashlib import sha256

import pytest

from shieldwall.control.plan.labels import CLIENT_LABEL, COMPONENT_LABEL
from shieldwall.control.plan.names import Names

from .certificates import secret
from .kubectl import KubectlError

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

FILES = r"""
import hashlib, json, os
KERNELS = {"proc", "sysfs", "cgroup", "cgroup2", "devpts", "mqueue"}
def files():
    for line in open("/proc/self/mountinfo").read().splitlines():
        before, after = line.split(" - ")
        place = before.split()[4]
        if place != "/" and after.split()[0] not in KERNELS:
            yield place
            for folder, _, names in os.walk(place):
                yield from (os.path.join(folder, name) for name in names)
found = []
for path in sorted(set(files())):
    try:
        if os.path.isfile(path) and os.path.getsize(path) < 65536:
            content = open(path, "rb").read()
            digest = hashlib.sha256(content).hexdigest()
            found.append({"path": path, "sha256": digest, "private": b"PRIVATE KEY-----" in content})
    except OSError:
        pass
unique = {each["sha256"]: each for each in found}
print(json.dumps(list(unique.values())))
"""
"""What is in the files of all volumes that a container can read."""


@pytest.fixture(scope="module")
def pods(kubectl):
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
        asked_again(kubectl, pod["spec"])
    told = kubectl("get", "events", "-o", "json")
    assert "violates PodSecurity" not in told


def asked_again(kubectl, spec):
    copy = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a-copy"}, "spec": spec}
    kubectl("create", "--dry-run=server", "--warnings-as-errors", "-f", "-", stdin=json.dumps(copy))


def test_the_same_pod_with_less_care_is_refused(pods, kubectl):
    """Else its being admitted would say nothing."""
    for pod in pods:
        spec = json.loads(json.dumps(pod["spec"]))
        spec["containers"][0]["securityContext"]["capabilities"] = {"drop": ["ALL"], "add": ["NET_ADMIN"]}
        with pytest.raises(KubectlError, match="violates PodSecurity"):
            asked_again(kubectl, spec)


def of_its_own(pod, container):
    """Keys in Secrets that a container of the pod is given, and how many made in the pod."""
    labels, names = pod["metadata"]["labels"], Names("digits")
    client = labels.get(CLIENT_LABEL, "")
    leaf, node, tasks = f"{names.client_tls(client)}/tls.key", f"{names.client_node(client)}/node.key", names.superexec
    return {
        ("server", "proxy"): ({f"{names.server_tls}/tls.key"}, 0),
        ("server", "superlink"): ({f"{tasks}/superexec"}, 1),
        ("server", "steward"): (set(), 0),
        ("aggregator", "proxy"): ({f"{names.aggregator_tls}/tls.key"}, 1),
        ("aggregator", "aggregator"): ({f"{tasks}/superexec"}, 0),
        ("client", "proxy"): ({leaf}, 1),
        ("client", "supernode"): ({leaf, node}, 0),
        ("client", "trainer"): (set(), 0),
    }[labels[COMPONENT_LABEL], container]


def test_a_container_reads_the_keys_that_are_its_own_and_no_others(pods, kubectl):
    """By the content of all files of its volumes, whatever they are called and wherever they are mounted.

    The trainer and the aggregator run the user's code: neither reads a key of the mesh.
    """
    secrets = {each["metadata"]["name"]: secret(kubectl, each["metadata"]["name"]) for each in kubectl.all("secrets")}
    private = {
        sha256(content).hexdigest(): f"{name}/{file}"
        for name, files in secrets.items()
        for file, content in files.items()
        if not file.endswith((".crt", ".pub"))
    }
    assert f"{Names('digits').authority}/tls.key" in private.values()
    for pod in pods:
        for container in containers(pod):
            name = f"{pod['metadata']['name']}/{container['name']}"
            seen = json.loads(kubectl.run(pod["metadata"]["name"], container["name"], "python3", "-c", FILES))
            given, made = of_its_own(pod, container["name"])
            assert {private[each["sha256"]] for each in seen if each["sha256"] in private} == given, name
            others = [each["path"] for each in seen if each["private"] and each["sha256"] not in private]
            assert len(others) == made, (name, others)


def test_every_container_is_bound_by_its_manifest_too_and_so_is_the_one_that_has_ended(pods):
    """Nobody can ask ``init`` from inside: it has ended before the pod is ready."""
    for pod in pods:
        spec = pod["spec"]
        assert [each["name"] for each in spec["initContainers"]] == ["init", "proxy"]
        assert spec["automountServiceAccountToken"] is False
        assert not any("serviceAccountToken" in json.dumps(volume) for volume in spec["volumes"])
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        for container in (*spec["initContainers"], *spec["containers"]):
            bounds = container["securityContext"]
            assert bounds["readOnlyRootFilesystem"] is True, container["name"]
            assert bounds["capabilities"] == {"drop": ["ALL"]}, container["name"]
            assert (bounds["allowPrivilegeEscalation"], bounds["privileged"]) == (False, False), container["name"]
            assert bounds["runAsNonRoot"] is True, container["name"]
            assert bounds["runAsUser"] > 0, container["name"]
            assert "seccompProfile" not in bounds, container["name"]


def test_the_container_that_has_ended_was_given_no_secret_and_no_token(pods):
    for pod in pods:
        spec = pod["spec"]
        init = next(each for each in spec["initContainers"] if each["name"] == "init")
        mounted = {mount["name"] for mount in init["volumeMounts"]}
        kinds = {volume["name"]: set(volume) - {"name"} for volume in spec["volumes"]}
        assert mounted
        assert [kinds[name] for name in mounted] == [{"emptyDir"}] * len(mounted)
        assert not any("secret" in json.dumps(each).lower() for each in (*init.get("env", ()), init.get("envFrom", [])))
