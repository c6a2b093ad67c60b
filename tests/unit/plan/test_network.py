"""NetworkPolicies by their semantics: what may speak with what, evaluated over pods of two trainings and strangers."""

import itertools

import pytest
from kubernetes.client import V1NetworkPolicy

from shieldwall.control.plan import PlanSettings
from shieldwall.control.plan.settings import DnsPeer

TRAINING = "shieldwall.dev/training"
COMPONENT = "app.kubernetes.io/component"
NAMESPACES = {
    "fed": {"kubernetes.io/metadata.name": "fed"},
    "shieldwall-system": {"kubernetes.io/metadata.name": "shieldwall-system"},
    "kube-system": {"kubernetes.io/metadata.name": "kube-system"},
    "monitoring": {"kubernetes.io/metadata.name": "monitoring", "shieldwall.dev/monitoring": "true"},
}
PODS = {
    "server": ("fed", {TRAINING: "digits", COMPONENT: "server"}),
    "aggregator": ("fed", {TRAINING: "digits", COMPONENT: "aggregator"}),
    "client": ("fed", {TRAINING: "digits", COMPONENT: "client", "shieldwall.dev/client": "a"}),
    "other client": ("fed", {TRAINING: "other", COMPONENT: "client"}),
    "other server": ("fed", {TRAINING: "other", COMPONENT: "server"}),
    "stranger": ("fed", {"app": "x"}),
    "operator": (
        "shieldwall-system",
        {"app.kubernetes.io/name": "shieldwall", "app.kubernetes.io/component": "operator"},
    ),
    "neighbour of the operator": ("shieldwall-system", {"app": "x"}),
    "dns": ("kube-system", {"k8s-app": "kube-dns"}),
    "prometheus": ("monitoring", {"app": "prometheus"}),
}
PORTS = [(protocol, port) for protocol in ("TCP", "UDP") for port in (53, 8000, 9443, 9444, 9445, 9901)]


def selects(selector, labels):
    return all(labels.get(key) == value for key, value in (selector.match_labels or {}).items())


def peer_matches(peer, home, pod):
    namespace, labels = PODS[pod]
    if peer.ip_block is not None:
        return False
    inside = selects(peer.namespace_selector, NAMESPACES[namespace]) if peer.namespace_selector else namespace == home
    return inside and (peer.pod_selector is None or selects(peer.pod_selector, labels))


def side_allows(policies, pod, other, port, kind):
    """Kubernetes' rules: open unless selected, then what some rule of some selecting policy allows."""
    namespace, labels = PODS[pod]
    chosen = [
        policy
        for policy in policies
        if policy.metadata.namespace == namespace and selects(policy.spec.pod_selector, labels)
    ]
    if not chosen:
        return True
    for policy in chosen:
        for rule in policy.spec.ingress if kind == "Ingress" else policy.spec.egress:
            peers = rule.var_from if kind == "Ingress" else rule.to
            ports = {(each.protocol, each.port) for each in rule.ports or ()}
            if (not peers or any(peer_matches(peer, namespace, other) for peer in peers)) and (
                not ports or port in ports
            ):
                return True
    return False


@pytest.fixture
def policies(new_training, complete):
    return [item for item in complete(new_training()).objects if isinstance(item, V1NetworkPolicy)]


def test_only_the_paths_of_the_design_are_open(policies):
    ours = {"server", "aggregator", "client"}
    opened = {
        (source, target, *port)
        for source, target in itertools.permutations(PODS, 2)
        for port in PORTS
        if {source, target} & ours
        and side_allows(policies, source, target, port, "Egress")
        and side_allows(policies, target, source, port, "Ingress")
    }
    assert opened == {
        ("client", "server", "TCP", 9443),
        ("operator", "server", "TCP", 9444),
        ("aggregator", "server", "TCP", 9445),
        *(("prometheus", pod, "TCP", 9901) for pod in ours),
        *((pod, "dns", protocol, 53) for pod in ("client", "aggregator") for protocol in ("TCP", "UDP")),
    }


def test_every_policy_selects_this_trainings_pods_only_and_closes_both_ways(policies):
    assert len(policies) == 4
    for policy in policies:
        assert policy.spec.pod_selector.match_labels[TRAINING] == "digits"
        assert policy.spec.policy_types == ["Ingress", "Egress"]
    deny = next(policy for policy in policies if policy.metadata.name == "digits")
    assert (deny.spec.ingress, deny.spec.egress) == ([], [])
    assert deny.spec.pod_selector.match_labels == {TRAINING: "digits"}


def test_no_rule_is_open_to_everybody(policies):
    for policy in policies:
        for rule in policy.spec.ingress:
            assert rule.var_from
            assert rule.ports
        for rule in policy.spec.egress:
            assert rule.to
            assert rule.ports


def test_dns_outside_of_pods_is_reached_by_its_address_and_on_its_port_only(new_training, complete):
    settings = PlanSettings(dns=DnsPeer(cidrs=("169.254.20.10/32",)))
    policies = [item for item in complete(new_training(), settings).objects if isinstance(item, V1NetworkPolicy)]
    blocks = [
        (policy.metadata.name, peer.ip_block.cidr, {port.port for port in rule.ports})
        for policy in policies
        for rule in policy.spec.egress
        for peer in rule.to
        if peer.ip_block is not None
    ]
    assert blocks == [(name, "169.254.20.10/32", {53}) for name in ("digits-aggregator", "digits-client")]
