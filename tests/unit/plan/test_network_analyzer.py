"""NetworkPolicies as a program of others reads them: the design's paths are open, and no other is.

The design is written as policies too, one for each pod, of a kind that leaves nothing to be interpreted.
"""

import copy

import pytest
from harness import analyzer
from harness.analyzer import EVERYTHING, AnalyzerError, connections, differences
from kubernetes.client import V1NetworkPolicy

from shieldwall.control.plan.render import manifest

TRAINING, COMPONENT = "shieldwall.dev/training", "app.kubernetes.io/component"
NAME = "kubernetes.io/metadata.name"
NAMESPACES = {
    "fed": {},
    "shieldwall-system": {},
    "kube-system": {},
    "elsewhere": {},
    "monitoring": {"shieldwall.dev/monitoring": "true"},
}
PODS = {
    "server": ("fed", {TRAINING: "digits", COMPONENT: "server"}),
    "aggregator": ("fed", {TRAINING: "digits", COMPONENT: "aggregator"}),
    "client-a": ("fed", {TRAINING: "digits", COMPONENT: "client", "shieldwall.dev/client": "a"}),
    "client-b": ("fed", {TRAINING: "digits", COMPONENT: "client", "shieldwall.dev/client": "b"}),
    "other-client": ("fed", {TRAINING: "other", COMPONENT: "client"}),
    "other-server": ("fed", {TRAINING: "other", COMPONENT: "server"}),
    "stranger": ("fed", {"app": "x"}),
    "same-words": ("elsewhere", {TRAINING: "digits", COMPONENT: "client", "shieldwall.dev/client": "a"}),
    "operator": ("shieldwall-system", {"app.kubernetes.io/name": "shieldwall", COMPONENT: "operator"}),
    "neighbour": ("shieldwall-system", {"app": "x"}),
    "dns": ("kube-system", {"k8s-app": "kube-dns"}),
    "not-dns": ("kube-system", {"app": "x"}),
    "prometheus": ("monitoring", {"app": "prometheus"}),
}
OURS = ("server", "aggregator", "client-a", "client-b")
DNS = (("UDP", 53), ("TCP", 53))
PATHS = {
    **{(client, "server"): [("TCP", 9443)] for client in ("client-a", "client-b")},
    ("operator", "server"): [("TCP", 9444)],
    ("aggregator", "server"): [("TCP", 9445)],
    **{("prometheus", pod): [("TCP", 9901)] for pod in OURS},
    **{(pod, "dns"): DNS for pod in ("aggregator", "client-a", "client-b")},
}
"""Who may open a connection to whom, and on which ports: everything that is open for a training's pods."""


def world():
    for name, labels in NAMESPACES.items():
        yield {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": {NAME: name} | labels}}
    for name, (namespace, labels) in PODS.items():
        metadata = {"name": name, "namespace": namespace, "labels": {"pod": name} | labels}
        container = {"name": "c", "image": "i"}
        yield {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": {"containers": [container]}}


def design(paths):
    """Each pod by its own name, each path in both directions."""

    def rule(side, other, ports):
        peer = {
            "namespaceSelector": {"matchLabels": {NAME: PODS[other][0]}},
            "podSelector": {"matchLabels": {"pod": other}},
        }
        return {side: [peer], "ports": [{"protocol": protocol, "port": port} for protocol, port in ports]}

    for pod in OURS:
        yield {
            "apiVersion": "networking.k8s.io/v1",
            "kind": "NetworkPolicy",
            "metadata": {"name": pod, "namespace": PODS[pod][0]},
            "spec": {
                "podSelector": {"matchLabels": {"pod": pod}},
                "policyTypes": ["Ingress", "Egress"],
                "ingress": [rule("from", source, ports) for (source, to), ports in paths.items() if to == pod],
                "egress": [rule("to", to, ports) for (source, to), ports in paths.items() if source == pod],
            },
        }


@pytest.fixture
def policies(new_training, complete):
    return [manifest(item) for item in complete(new_training()).objects if isinstance(item, V1NetworkPolicy)]


def test_exactly_the_paths_of_the_design_are_open(policies):
    assert len(policies) == 4
    assert differences(world(), policies, design(PATHS)) == []


@pytest.mark.parametrize("gone", range(4))
def test_it_sees_when_a_policy_is_gone(policies, gone):
    # The one that closes everything repeats what the others close, but for pods that come later.
    name = policies[gone]["metadata"]["name"]
    left = [policy for policy in policies if policy["metadata"]["name"] != name]
    assert bool(differences(world(), left, design(PATHS))) == (name != "digits")


@pytest.mark.parametrize("path", [("client-a", "client-b"), ("stranger", "server"), ("server", "dns")])
def test_it_sees_a_path_too_many_and_one_too_few(policies, path):
    assert differences(world(), policies, design(PATHS | {path: [("TCP", 9443)]}))
    less = dict(list(PATHS.items())[1:])
    assert differences(world(), policies, design(less))


def test_it_sees_a_rule_that_somebody_opened(policies):
    opened = copy.deepcopy(policies)
    server = next(policy for policy in opened if policy["metadata"]["name"] == "digits-server")
    server["spec"]["ingress"].append({"ports": [{"protocol": "TCP", "port": 9443}]})
    found = differences(world(), opened, design(PATHS))
    assert any("digits" not in each and "server" in each for each in found), found


def one(namespace, **spec):
    metadata = {"name": "one", "namespace": namespace}
    return {"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": metadata, "spec": spec}


def test_ranges_of_addresses_and_ports_are_told():
    rules = [
        {"to": [{"ipBlock": {"cidr": "192.0.2.0/24", "except": ["192.0.2.0/25"]}}], "ports": [{"protocol": "UDP"}]},
        {"to": [{"ipBlock": {"cidr": "198.51.100.1/32"}}], "ports": [{"port": 80}, {"port": 90, "endPort": 99}]},
    ]
    policy = one("elsewhere", podSelector={}, policyTypes=["Egress"], egress=rules)
    found = connections(world(), [policy])
    assert {target: ports for (source, target), ports in found.items() if source == "elsewhere/same-words"} == {
        "192.0.2.128-192.0.2.255": {("UDP", 0, 65535)},
        "198.51.100.1": {("TCP", 80, 80), ("TCP", 90, 99)},
    }
    assert found["fed/stranger", "elsewhere/same-words"] == EVERYTHING


def test_a_policy_that_cannot_be_read_is_no_answer():
    with pytest.raises(AnalyzerError, match="policyTypes"):
        connections(world(), [one("fed", podSelector={}, policyTypes=["Inward"])])


LABELLED = {"namespaceSelector": {}, "podSelector": {"matchExpressions": [{"key": TRAINING, "operator": "Exists"}]}}
UNLABELLED = {
    "namespaceSelector": {},
    "podSelector": {"matchExpressions": [{"key": "app", "operator": "DoesNotExist"}]},
}


@pytest.mark.parametrize("peer", [LABELLED, UNLABELLED], ids=["there", "not there"])
def test_pods_of_other_namespaces_are_found_by_a_label_that_is_there_or_not(monkeypatch, peer):
    policy = one("elsewhere", podSelector={}, policyTypes=["Egress"], egress=[{"to": [peer]}])
    path = ("elsewhere/same-words", "fed/server")
    assert path in connections(world(), [policy])
    monkeypatch.setattr(analyzer, "spelled_out", lambda policies, _: policies)
    assert path not in connections(world(), [policy]), (
        "it reads the API rightly now: spelled_out is not needed any more"
    )
