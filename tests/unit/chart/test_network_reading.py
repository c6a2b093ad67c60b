"""The chart and two trainings of three clients, as they are installed: who may speak with whom, by a stranger's word.

network-config-analyzer reads the manifests alone. Its answer must be the design's, that of our own plain reading of the
API, and that of the agent that enforces policies in the end-to-end tests. tests/unit/plan/test_network_analyzer.py asks
about a training's policies alone, with pods made by hand, and needs no Helm.
"""

from ipaddress import IPv4Address
from itertools import product

import pytest
from harness.analyzer import EVERYTHING, connections
from unit.chart.network_world import (
    DNS,
    HELM_TEST,
    HOME,
    LATER,
    OPERATORS,
    OUTSIDE,
    UNSELECTED,
    World,
    of_a_training,
    tcp,
)
from unit.e2e_policy.objects import POD_CIDR, computed
from unit.e2e_policy.reading import Cluster
from unit.e2e_policy.simulator import Packet, Ruleset

pytestmark = pytest.mark.slow

API, RESOLVER = "192.0.2.1", "169.254.20.10"
TIGHT = {
    "watchNamespaces": ["fed"],
    "networkPolicy": {"apiServer": {"cidrs": [f"{API}/32"]}},
    "dns": {"cidrs": [f"{RESOLVER}/32"]},
}
EVERYBODY = [*UNSELECTED, OUTSIDE]
ADDRESSES = (API, RESOLVER, "203.0.113.9")
SERVICES = [
    *(("TCP", port) for port in (53, 80, 443, 6443, 8080, 9443, 9444, 9445, 9901)),
    *(("UDP", 53), ("UDP", 9443), ("SCTP", 9443)),
]

SERVER = "fed/digits-server-1"
CLIENTS = [f"fed/digits-client-site-{number}-1" for number in range(3)]
GUARDED = [
    *LATER,
    *(f"fed/{name}-{pod}-1" for name in ("digits", "other") for pod in ("server", "aggregator")),
    *(f"fed/{name}-client-site-{number}-1" for name in ("digits", "other") for number in range(3)),
]
FLEET = [{"protocol": "TCP", "port": 9443}]


@pytest.fixture(scope="module")
def world(render):
    return World(render(namespace=HOME))


@pytest.fixture(scope="module")
def answer(world):
    return connections(world.documents, world.policies())


def design(resolvers, operators_own):
    """Everything that is open, in the words of the answer."""
    paths = {
        **{pair: EVERYTHING for pair in product(EVERYBODY, EVERYBODY) if len(set(pair)) == 2},
        **of_a_training("digits", resolvers),
        **of_a_training("other", resolvers),
        **{(reader, operator): tcp(8080) for reader in ("monitoring/prometheus", HELM_TEST) for operator in OPERATORS},
        **{(operator, other): ports for operator in OPERATORS for other, ports in operators_own.items()},
    }
    return {pair: frozenset(ports) for pair, ports in paths.items()}


def disagreements(world, policies, answer, allows=None):
    """Packets of which the answer says another thing than our own reading, or than ``allows``."""
    pods = world.pods
    allows = allows or Cluster(pods, world.namespaces, policies, POD_CIDR).allows
    where = {
        f"{pod['metadata']['namespace']}/{pod['metadata']['name']}": pod["status"]["podIPs"][0]["ip"] for pod in pods
    }

    def addresses(name):
        """Of a pod; of a range outside, those that are asked about."""
        if name in where:
            return [where[name]]
        first, _, last = name.partition("-")
        return [each for each in ADDRESSES if IPv4Address(first) <= IPv4Address(each) <= IPv4Address(last or first)]

    opened = {
        (source, target, protocol, port)
        for pair, ports in answer.items()
        for source, target in product(*map(addresses, pair))
        for protocol, port in SERVICES
        if any(of in {"", protocol} and first <= port <= last for of, first, last in ports)
    }
    asked = [
        (source, target, *service)
        for source, target in product([*where.values(), *ADDRESSES], repeat=2)
        for service in SERVICES
        if source != target and not {source, target} <= set(ADDRESSES)
    ]
    return [packet for packet in asked if (packet in opened) != allows(Packet(*packet))]


def test_by_default_the_paths_of_the_design_are_open_and_no_other(answer):
    # Where the API server is, is not known by default, so the operator may try its ports anywhere; 9444 and 9445 it may
    # try wherever a pod calls itself the server of a training, and what comes in is up to the training's own policy.
    operators_own = {other: tcp(443, 6443) for other in EVERYBODY}
    operators_own["kube-system/dns"] |= DNS
    operators_own["elsewhere/unguarded-server"] |= {("TCP", 9444, 9445)}
    assert answer == design(["kube-system/dns"], operators_own)


def test_with_addresses_and_namespaces_given_the_operator_reaches_these_only(render):
    world = World(render(TIGHT, namespace=HOME))
    resolvers = ["kube-system/dns", RESOLVER]
    answer = connections(world.documents, world.policies())
    assert answer == design(resolvers, {API: tcp(443, 6443)} | dict.fromkeys(resolvers, DNS))
    assert disagreements(world, world.policies(), answer) == []


def test_our_own_reading_of_the_api_and_the_agent_of_the_end_to_end_tests_agree(world, answer):
    policies = world.policies()
    assert disagreements(world, policies, answer) == []
    agent = Ruleset(computed(world.pods, world.namespaces, policies).document)
    assert disagreements(world, policies, answer, agent.passes) == []
    assert disagreements(world, policies, answer, lambda _: False)


def test_each_policy_and_each_rule_is_needed_and_seen(world, answer):
    """Whichever is taken out, the answer is another, and both readings still agree."""

    def without_one():
        for policy in world.policies():
            name = policy["metadata"]["name"]
            if name.startswith("other"):
                continue  # as those of the first training
            yield name, [each for each in world.policies() if each["metadata"]["name"] != name]
            for side in ("ingress", "egress"):
                for position in range(len(policy["spec"][side])):
                    fewer = world.policies()
                    (own,) = (each for each in fewer if each["metadata"]["name"] == name)
                    del own["spec"][side][position]
                    yield f"{name} {side} {position}", fewer

    seen = 0
    for what, policies in without_one():
        less = connections(world.documents, policies)
        assert less != answer, what
        assert disagreements(world, policies, less) == [], what
        seen += 1
    assert seen == 5 + 14, "policies and rules"


@pytest.mark.parametrize(
    ("place", "rule", "opened"),
    [
        # Pods of trainings have no way out to another's server, so they do not come in either.
        (("digits-server", "ingress"), {"ports": FLEET}, set(product(EVERYBODY, [SERVER]))),
        (("digits-server", "egress"), {}, set(product([SERVER], EVERYBODY))),
        # Another training's server stays out of reach: it would have to let them in, too.
        (
            ("digits-client", "egress"),
            {"to": [{"podSelector": {}}], "ports": FLEET},
            set(product(CLIENTS, ["fed/stranger", "fed/posing-as-operator"])),
        ),
        (
            ("sw-shieldwall", "ingress"),
            {"ports": [{"protocol": "TCP", "port": 8080}]},
            set(product(set(EVERYBODY) - {"monitoring/prometheus", HELM_TEST}, OPERATORS)),
        ),
    ],
    ids=["into the server", "out of the server", "out of clients", "into the operator"],
)
def test_a_rule_too_many_is_seen_with_all_that_it_opens(world, answer, place, rule, opened):
    policies = world.policies()
    name, side = place
    (own,) = (each for each in policies if each["metadata"]["name"] == name)
    own["spec"][side].append(rule)
    more = connections(world.documents, policies)
    assert {pair for pair in more if more[pair] != answer.get(pair)} == opened
    assert answer.keys() <= more.keys()
    assert disagreements(world, policies, more) == []


def test_a_policy_of_somebody_else_that_opens_a_namespace_is_seen(world, answer):
    """Policies only ever add: the operator, too, may then try what only the training's own policy keeps shut."""
    metadata = {"name": "open", "namespace": "fed"}
    spec = {"podSelector": {}, "policyTypes": ["Ingress"], "ingress": [{}]}
    opening = {"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": metadata, "spec": spec}
    policies = [*world.policies(), opening]
    more = connections(world.documents, policies)
    assert {pair for pair in more if more[pair] != answer.get(pair)} == set(product([*EVERYBODY, *OPERATORS], GUARDED))
    assert more[OPERATORS[0], SERVER] == tcp(443, 6443) | {("TCP", 9444, 9445)}
    assert disagreements(world, policies, more) == []
