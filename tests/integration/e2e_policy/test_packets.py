"""Computed rulesets in a real kernel: TCP and UDP from pod to pod, to a Service, to and from the node."""

from __future__ import annotations

import json
import socket
from contextlib import ExitStack
from itertools import permutations, product

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from integration.e2e_policy.network import GATEWAY, NODE, PATIENCE, PODS, SERVICE, received
from unit.e2e_policy import strategies as some
from unit.e2e_policy.objects import POD_CIDR, computed, namespace, pod, policy
from unit.e2e_policy.reading import Cluster
from unit.e2e_policy.simulator import Packet

pytestmark = pytest.mark.slow

WEB, DB, CLIENT = PODS
PORTS = (53, 80)
NAMESPACES = [namespace("fed", team="a"), namespace("other", team="b")]
OBJECTS = [
    pod("web", WEB, {"app": "web"}),
    pod("db", DB, {"app": "db"}, ports=[{"name": "sql", "containerPort": 5432}]),
    pod("client", CLIENT, {"app": "web"}, namespace="other"),
]
CLOSED = policy("closed", policyTypes=["Ingress", "Egress"])
DNAT = f"""
table ip services {{
  chain prerouting {{
    type nat hook prerouting priority dstnat; policy accept;
    ip daddr {SERVICE} tcp dport 80 dnat to {DB}:5432
  }}
  chain postrouting {{
    type nat hook postrouting priority srcnat; policy accept;
    ip saddr {DB} ip daddr {DB} masquerade
  }}
}}"""


@pytest.fixture(scope="module", autouse=True)
def servers(network):
    network.listen(DB, 5432)
    network.listen(DB, 80)
    network.listen(WEB, 80)
    network.listen(NODE, 6443)
    return network


def db(**spec):
    return policy(podSelector={"matchLabels": {"app": "db"}}, **spec)


def enforce(node, *policies, pods=OBJECTS):
    node.apply(computed(list(pods), NAMESPACES, list(policies)).document)


def test_without_a_table_and_without_policies_all_is_open(network, node):
    for _ in range(2):
        assert network.tcp(WEB, DB, 80) == "open"
        assert network.tcp(CLIENT, DB, 5432) == "open"
        assert network.tcp(WEB, DB, 1) == "refused"
        assert network.tcp(WEB, NODE, 6443) == "open"
        assert network.tcp(NODE, DB, 80) == "open"
        enforce(node)


def test_ingress_by_pods_namespaces_and_ports(network, node):
    in_team_b = {"namespaceSelector": {"matchLabels": {"team": "b"}}}
    enforce(node, db(ingress=[{"from": [in_team_b], "ports": [{"port": "sql"}]}]))
    assert network.tcp(CLIENT, DB, 5432) == "open"
    assert network.tcp(CLIENT, DB, 80) == "dropped"
    assert network.tcp(WEB, DB, 5432) == "dropped"
    assert network.tcp(CLIENT, WEB, 80) == "open"
    enforce(node, db(ingress=[{"from": [{"podSelector": {}}], "ports": [{"port": 1, "endPort": 80}]}]))
    assert network.tcp(CLIENT, DB, 80) == "dropped"
    assert network.tcp(WEB, DB, 80) == "open"
    assert network.tcp(WEB, DB, 1) == "refused"
    assert network.tcp(WEB, DB, 5432) == "dropped"


def test_egress_by_block_with_exceptions(network, node):
    block = {"cidr": POD_CIDR, "except": [f"{DB}/32"]}
    enforce(node, policy(policyTypes=["Egress"], egress=[{"to": [{"ipBlock": block}]}]))
    assert network.tcp(CLIENT, WEB, 80) == "open"
    assert network.tcp(DB, WEB, 80) == "open"
    assert network.tcp(WEB, DB, 80) == "dropped"
    assert network.tcp(WEB, NODE, 6443) == "dropped"


def test_the_node_reaches_pods_that_are_closed_and_they_answer(network, node):
    enforce(node, CLOSED)
    assert network.tcp(NODE, DB, 80) == "open"
    assert network.tcp(GATEWAY, DB, 80) == "open"
    assert network.tcp(WEB, DB, 80) == "dropped"
    enforce(node, pods=[])
    assert network.tcp(NODE, DB, 80) == "open", "a probe of a pod that is not known yet"


def test_pods_reach_the_node_where_a_block_says_so(network, node):
    enforce(node, CLOSED)
    assert network.tcp(WEB, NODE, 6443) == "dropped"
    to_node = {"to": [{"ipBlock": {"cidr": f"{NODE}/32"}}], "ports": [{"port": 6443}]}
    enforce(node, CLOSED, policy("api", policyTypes=["Egress"], egress=[to_node]))
    assert network.tcp(WEB, NODE, 6443) == "open"
    assert network.tcp(WEB, NODE, 6444) == "dropped"
    assert network.tcp(NODE, NODE, 6443) == "open"


def test_addresses_of_no_known_pod_are_closed(network, node):
    enforce(node, pods=OBJECTS[:2])
    assert network.tcp(CLIENT, DB, 80) == "dropped"
    assert network.tcp(CLIENT, NODE, 6443) == "dropped"
    assert network.tcp(WEB, DB, 80) == "open"
    enforce(node)
    assert network.tcp(CLIENT, DB, 80) == "open"


def test_selectors_see_the_pod_behind_a_service_also_when_it_is_the_caller_itself(network, node):
    network.on_node("nft", DNAT)
    try:
        to_sql = [{"to": [{"podSelector": {"matchLabels": {"app": "db"}}}], "ports": [{"port": "sql"}]}]
        enforce(node, policy(policyTypes=["Egress"], egress=to_sql))
        assert network.tcp(WEB, SERVICE, 80) == "open"
        enforce(node, policy(policyTypes=["Egress"], egress=[{"to": [{"ipBlock": {"cidr": f"{SERVICE}/32"}}]}]))
        assert network.tcp(WEB, SERVICE, 80) == "dropped"
        enforce(node, CLOSED)
        assert network.tcp(WEB, SERVICE, 80) == "dropped"
        assert network.tcp(DB, SERVICE, 80) == "open"
    finally:
        network.on_node("nft", "delete table ip services")


def test_an_open_connection_outlives_the_policy_that_closes_the_way(network, node):
    enforce(node)
    server = network.listen(DB, 9000)
    client = network.connect(WEB, DB, 9000)
    accepted, _ = server.accept()
    with accepted:
        enforce(node, CLOSED)
        assert network.tcp(WEB, DB, 9000) == "dropped"
        client.sendall(b"still")
        accepted.settimeout(5)
        assert accepted.recv(16) == b"still"
        accepted.sendall(b"here")
        client.settimeout(5)
        assert client.recv(16) == b"here"


def test_udp_and_its_answers(network, node):
    dns = [{"ports": [{"port": 53, "protocol": "UDP"}]}]
    with network.receive(DB, 53) as receiver, network.receive(WEB, 53) as unasked:
        enforce(node, CLOSED, db(ingress=dns))
        network.send(WEB, DB, 53, b"closed on the way out")
        assert received([receiver], 1) == set()
        out = policy("out", podSelector={"matchLabels": {"app": "web"}}, policyTypes=["Egress"], egress=dns)
        enforce(node, CLOSED, out, db(ingress=dns))
        sender = network.socket(WEB, socket.SOCK_DGRAM)
        sender.settimeout(5)
        sender.sendto(b"question", (DB, 53))
        receiver.settimeout(5)
        question, asker = receiver.recvfrom(16)
        assert question == b"question"
        receiver.sendto(b"answer", asker)
        assert sender.recv(16) == b"answer"
        network.send(DB, WEB, 53, b"no answer to anything")
        assert received([unasked], 1) == set()


def test_a_ruleset_that_nft_refuses_changes_nothing(network, node):
    enforce(node, CLOSED)
    broken = computed(OBJECTS, NAMESPACES, []).document
    broken["nftables"].append({"add": {"nonsense": {}}})
    with pytest.raises(RuntimeError, match="nft ended with code"):
        node.apply(broken)
    assert network.tcp(WEB, DB, 80) == "dropped"


def test_clear_removes_our_table_alone_and_again_does_nothing(network, node):
    network.on_node("nft", "add table inet other")
    enforce(node, CLOSED)
    assert "shieldwall_policy" in network.tables()
    node.clear()
    node.clear()
    assert network.tables() == "table inet other\n"
    network.on_node("nft", "delete table inet other")
    assert network.tcp(WEB, DB, 80) == "open"


@settings(
    max_examples=40, deadline=None, database=None, phases=[Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)  # fmt: skip
@given(pods=some.pods, namespaces=some.namespaces, policies=some.policies)
def test_the_kernel_decides_as_the_api_says(network, node, pods, namespaces, policies):
    """Clusters drawn at random, wholly accepted by nft; one datagram each way between all of them and to the node."""
    node.apply(computed(pods, namespaces, policies).document)
    allows = Cluster(pods, namespaces, policies, POD_CIDR).allows
    with ExitStack() as exits:
        receivers = [exits.enter_context(network.receive(*each)) for each in product((*PODS, NODE), PORTS)]
        expected = set()
        ways = [*permutations(PODS, 2), *((each, NODE) for each in PODS)]
        for (source, destination), port in product(ways, PORTS):
            packet = Packet(source, destination, "UDP", port, hook="input" if destination == NODE else "forward")
            payload = json.dumps([source, destination, port]).encode()
            if allows(packet):
                expected.add(payload)
            network.send(source, destination, port, payload)
        assert received(receivers, len(expected), 10 if expected else PATIENCE) == expected
