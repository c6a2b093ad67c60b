"""Each word of the NetworkPolicy API, by hand: packets through the ruleset that the agent computes."""

from __future__ import annotations

from dataclasses import replace

import pytest
from unit.e2e_policy.objects import computed, namespace, pod, policy
from unit.e2e_policy.simulator import Packet, Ruleset

WEB, DB, FAR, OUTSIDE, NODE = "10.244.0.2", "10.244.0.3", "10.244.0.4", "192.0.2.7", "172.18.0.1"
PODS = [
    pod("web", WEB, {"app": "web"}),
    pod("db", DB, {"app": "db"}, ports=[{"name": "sql", "containerPort": 5432}]),
    pod("far", FAR, {"app": "web"}, namespace="other", ports=[{"name": "sql", "containerPort": 6000}]),
]
NAMESPACES = [namespace("fed", team="a"), namespace("other", team="b")]
TO_DB = Packet(WEB, DB)


def sees(*policies, pods=PODS, namespaces=NAMESPACES):
    return Ruleset(computed(list(pods), list(namespaces), list(policies)).document).passes


def db(**spec):
    return policy(podSelector={"matchLabels": {"app": "db"}}, **spec)


def from_(*peers, **more):
    return db(ingress=[{"from": list(peers), **more}])


def ports(*wanted):
    return db(ingress=[{"ports": list(wanted)}])


def app(name):
    return {"matchLabels": {"app": name}}


def test_without_policies_everything_passes_both_ways():
    passes = sees()
    for source in (WEB, FAR, OUTSIDE):
        assert passes(Packet(source, DB))
        assert passes(Packet(DB, source))
    assert passes(Packet(WEB, NODE).to_node())
    assert passes(Packet(WEB, DB, "ICMP", None))


def test_a_selected_pod_is_closed_in_the_direction_of_the_policy_only_and_the_others_stay_open():
    passes = sees(db(policyTypes=["Ingress"]))
    assert not passes(TO_DB)
    assert not passes(Packet(OUTSIDE, DB))
    assert not passes(Packet(WEB, DB, "ICMP", None))
    assert passes(Packet(DB, WEB))
    assert passes(Packet(FAR, WEB))


def test_egress_alone_leaves_ingress_open():
    passes = sees(db(policyTypes=["Egress"]))
    assert not passes(Packet(DB, WEB))
    assert not passes(Packet(DB, OUTSIDE))
    assert passes(TO_DB)


def test_both_ends_must_allow():
    out = policy("out", podSelector=app("web"), policyTypes=["Egress"], egress=[{"to": [{"podSelector": app("db")}]}])
    into = policy("into", podSelector=app("db"), ingress=[{"from": [{"podSelector": app("web")}]}])
    assert sees(out, into)(TO_DB)
    assert not sees(out, db())(TO_DB)
    assert not sees(policy("out", policyTypes=["Egress"]), into)(TO_DB)


@pytest.mark.parametrize("section", [{}, {"ingress": None}, {"ingress": []}], ids=["absent", "null", "empty"])
def test_no_rules_allow_nothing(section):
    assert not sees(db(**section))(TO_DB)


def test_a_rule_without_anything_allows_everything():
    passes = sees(db(ingress=[{}]))
    assert passes(TO_DB)
    assert passes(Packet(OUTSIDE, DB, "SCTP", 7))
    assert passes(Packet(FAR, DB, "ICMP", None))


@pytest.mark.parametrize("key", [{}, {"from": None}, {"from": []}], ids=["absent", "null", "empty"])
def test_no_from_is_everybody(key):
    passes = sees(db(ingress=[{"ports": [{"port": 80}], **key}]))
    assert passes(TO_DB)
    assert passes(Packet(OUTSIDE, DB))
    assert not passes(Packet(WEB, DB, port=81))


@pytest.mark.parametrize("key", [{}, {"ports": None}, {"ports": []}], ids=["absent", "null", "empty"])
def test_no_ports_are_all_of_all_protocols(key):
    passes = sees(from_({"podSelector": app("web")}, **key))
    assert passes(Packet(WEB, DB, "UDP", 9))
    assert passes(Packet(WEB, DB, "ICMP", None))
    assert not passes(Packet(OUTSIDE, DB))


@pytest.mark.parametrize("key", [{}, {"to": None}, {"to": []}], ids=["absent", "null", "empty"])
def test_no_to_is_everybody_the_node_too(key):
    passes = sees(db(policyTypes=["Egress"], egress=[{"ports": [{"port": 53, "protocol": "UDP"}], **key}]))
    assert passes(Packet(DB, OUTSIDE, "UDP", 53))
    assert passes(Packet(DB, NODE, "UDP", 53).to_node())
    assert not passes(Packet(DB, OUTSIDE, "TCP", 53))


def test_policy_types_default_to_ingress_and_to_egress_where_there_are_rules_of_it():
    assert sees(db())(Packet(DB, WEB))
    assert sees(db(egress=[]))(Packet(DB, WEB))
    with_rules = sees(db(egress=[{"to": [{"podSelector": app("web")}]}]))
    assert with_rules(Packet(DB, WEB))
    assert not with_rules(Packet(DB, OUTSIDE))
    assert not with_rules(TO_DB)


def test_policy_types_rule_out_sections_of_the_other_direction():
    passes = sees(db(policyTypes=["Egress"], ingress=[], egress=[{}]))
    assert passes(TO_DB)
    assert passes(Packet(DB, OUTSIDE))


def test_policies_add_up():
    passes = sees(
        policy("deny"),
        policy("one", ingress=[{"from": [{"podSelector": app("web")}]}]),
        policy("two", ingress=[{"ports": [{"port": 9000}]}]),
    )
    assert passes(TO_DB)
    assert passes(Packet(OUTSIDE, DB, port=9000))
    assert not passes(Packet(OUTSIDE, DB))


def test_rules_and_peers_of_one_policy_add_up():
    passes = sees(
        db(ingress=[{"from": [{"podSelector": app("x")}, {"podSelector": app("web")}]}, {"ports": [{"port": 1}]}])
    )
    assert passes(TO_DB)
    assert passes(Packet(OUTSIDE, DB, port=1))
    assert not passes(Packet(OUTSIDE, DB, port=2))


def test_a_rule_needs_peer_and_port():
    passes = sees(from_({"podSelector": app("web")}, ports=[{"port": 80}]))
    assert passes(TO_DB)
    assert not passes(Packet(WEB, DB, port=81))
    assert not passes(Packet(FAR, DB, port=80))


def test_a_policy_selects_in_its_own_namespace():
    passes = sees(policy(where="other"))
    assert passes(TO_DB)
    assert not passes(Packet(WEB, FAR))


def test_a_pod_selector_means_the_namespace_of_the_policy():
    passes = sees(from_({"podSelector": {}}))
    assert passes(TO_DB)
    assert not passes(Packet(FAR, DB))
    assert not passes(Packet(OUTSIDE, DB))


def test_a_namespace_selector_means_all_pods_of_those_namespaces():
    passes = sees(from_({"namespaceSelector": {"matchLabels": {"team": "b"}}}))
    assert passes(Packet(FAR, DB))
    assert not passes(TO_DB)
    everywhere = sees(from_({"namespaceSelector": {}}))
    assert everywhere(Packet(FAR, DB))
    assert everywhere(TO_DB)
    assert not everywhere(Packet(OUTSIDE, DB))


def test_both_selectors_in_one_peer_must_hold():
    team_b = {"matchLabels": {"team": "b"}}
    assert sees(from_({"namespaceSelector": team_b, "podSelector": app("web")}))(Packet(FAR, DB))
    assert not sees(from_({"namespaceSelector": team_b, "podSelector": app("db")}))(Packet(FAR, DB))
    assert not sees(from_({"namespaceSelector": team_b, "podSelector": app("web")}))(TO_DB)


def test_a_namespace_that_is_not_known_is_nobodys_peer():
    assert not sees(from_({"namespaceSelector": {}}), namespaces=NAMESPACES[:1])(Packet(FAR, DB))


def test_a_peer_that_says_nothing_is_nobody():
    assert not sees(from_({}))(TO_DB)


def test_a_block_without_its_exceptions():
    block = {"cidr": "192.0.0.0/16", "except": ["192.0.2.0/29", "192.0.2.64/26"]}
    passes = sees(from_({"ipBlock": block}))
    for address, inside in [
        ("192.0.2.7", False), ("192.0.2.8", True), ("192.0.2.63", True), ("192.0.2.64", False), ("192.0.2.128", True),
        ("192.0.0.0", True), ("192.0.255.255", True), ("192.1.0.0", False), ("191.255.255.255", False), (WEB, False),
    ]:  # fmt: skip
        assert passes(Packet(address, DB)) == inside, address


def test_a_block_may_mean_pods_and_a_block_of_everything_means_everybody():
    assert sees(from_({"ipBlock": {"cidr": f"{WEB}/32"}}))(TO_DB)
    assert sees(from_({"ipBlock": {"cidr": "0.0.0.0/0"}}))(Packet(OUTSIDE, DB))
    assert not sees(from_({"ipBlock": {"cidr": "10.0.0.0/8", "except": ["10.0.0.0/8"]}}))(TO_DB)


def test_a_block_is_read_as_the_api_server_admits_it_with_bits_of_the_host():
    assert sees(from_({"ipBlock": {"cidr": "10.244.0.9/24"}}))(TO_DB)


@pytest.mark.parametrize(
    "block",
    [{"cidr": "2001:db8::/64"}, {"cidr": "10.0.0.0/8", "except": ["2001:db8::/64"]}, {"cidr": "010.244.0.0/24"}],
)
def test_a_block_that_is_not_ipv4_allows_nothing_and_is_told(block):
    objects = (PODS, NAMESPACES, [from_({"ipBlock": block}, {"podSelector": app("none")})])
    passes = Ruleset(computed(*objects).document).passes
    assert not passes(TO_DB)
    assert [each.split(": ", 1)[0] for each in computed(*objects).refused] == ["policy/ingress/fed/p"]


def test_a_bad_block_leaves_the_other_peers():
    assert sees(from_({"ipBlock": {"cidr": "2001:db8::/64"}}, {"podSelector": app("web")}))(TO_DB)


@pytest.mark.parametrize(
    ("port", "open_", "closed"),
    [
        ({"port": 80}, [("TCP", 80)], [("TCP", 81), ("UDP", 80), ("SCTP", 80), ("ICMP", None)]),
        ({"port": 80, "protocol": "UDP"}, [("UDP", 80)], [("TCP", 80), ("UDP", 81)]),
        ({"port": 80, "protocol": "SCTP"}, [("SCTP", 80)], [("TCP", 80), ("UDP", 80)]),
        ({"port": 80, "endPort": 90}, [("TCP", 80), ("TCP", 85), ("TCP", 90)], [("TCP", 79), ("TCP", 91)]),
        ({"protocol": "UDP"}, [("UDP", 1), ("UDP", 65535)], [("TCP", 1), ("ICMP", None)]),
        ({"protocol": "TCP"}, [("TCP", 1)], [("UDP", 1)]),
        ({"port": "sql"}, [("TCP", 5432)], [("TCP", 6000), ("UDP", 5432)]),
        ({"port": "sql", "protocol": "UDP"}, [], [("TCP", 5432), ("UDP", 5432)]),
        ({"port": "none"}, [], [("TCP", 5432)]),
    ],
)
def test_ports(port, open_, closed):
    passes = sees(ports(port))
    for protocol, number in open_:
        assert passes(Packet(WEB, DB, protocol, number))
    for protocol, number in closed:
        assert not passes(Packet(WEB, DB, protocol, number))


def test_each_port_keeps_to_its_protocol():
    passes = sees(ports({"port": 80}, {"port": 53, "protocol": "UDP"}, {"protocol": "SCTP"}))
    for protocol in ("TCP", "UDP", "SCTP"):
        reached = {number for number in (53, 80, 81) if passes(Packet(WEB, DB, protocol, number))}
        assert reached == {"TCP": {80}, "UDP": {53}, "SCTP": {53, 80, 81}}[protocol]


def test_ports_that_overlap_or_touch_are_one_range():
    wanted = [{"port": 10, "endPort": 20}, {"port": 15}, {"port": 21, "endPort": 30}, {"port": 5}, {"port": "sql"}]
    passes = sees(ports(*wanted))
    reached = [number for number in range(1, 40) if passes(Packet(WEB, DB, port=number))]
    assert reached == [5, *range(10, 31)]
    assert passes(Packet(WEB, DB, port=5432))


def test_a_named_port_of_egress_is_one_of_the_pod_that_is_reached():
    passes = sees(policy(podSelector=app("web"), policyTypes=["Egress"], egress=[{"ports": [{"port": "sql"}]}]))
    assert passes(Packet(WEB, DB, port=5432))
    assert passes(Packet(WEB, FAR, port=6000))
    assert not passes(Packet(WEB, DB, port=6000))
    assert not passes(Packet(WEB, OUTSIDE, port=5432))


def test_a_named_port_of_egress_keeps_to_the_peers():
    to = {"to": [{"podSelector": {}}], "ports": [{"port": "sql"}]}
    passes = sees(policy(podSelector=app("web"), policyTypes=["Egress"], egress=[to]))
    assert passes(Packet(WEB, DB, port=5432))
    assert not passes(Packet(WEB, FAR, port=6000))


@pytest.mark.parametrize(("policy_", "named"), [("Always", True), (None, False)])
def test_named_ports_of_native_sidecars_count_and_those_of_init_containers_do_not(policy_, named):
    container = {"name": "proxy", "restartPolicy": policy_, "ports": [{"name": "sql", "containerPort": 1}]}
    pods = [PODS[0], pod("db", DB, {"app": "db"}, init_containers=[container])]
    assert sees(ports({"port": "sql"}), pods=pods)(Packet(WEB, DB, port=1)) == named


@pytest.mark.parametrize(
    ("expression", "apps"),
    [
        ({"operator": "In", "values": ["web", "x"]}, {"web"}),
        ({"operator": "NotIn", "values": ["web", "x"]}, {"db", None}),
        ({"operator": "Exists"}, {"web", "db"}),
        ({"operator": "DoesNotExist"}, {None}),
    ],
)
def test_match_expressions(expression, apps):
    pods = [pod("target", FAR, namespace="other")]
    addresses = {"web": WEB, "db": DB, None: "10.244.0.9"}
    pods += [pod(f"p-{each}", address, {"app": each} if each else {}) for each, address in addresses.items()]
    selector = {"matchExpressions": [{"key": "app", **expression}]}
    chosen = {"namespaceSelector": {}, "podSelector": selector}
    passes = sees(policy(where="other", ingress=[{"from": [chosen]}]), pods=pods)
    assert {each for each, address in addresses.items() if passes(Packet(address, FAR))} == apps


def test_labels_and_expressions_must_all_hold():
    selector = {"matchLabels": {"app": "web"}, "matchExpressions": [{"key": "tier", "operator": "Exists"}]}
    peer = {"podSelector": selector}
    assert not sees(from_(peer))(TO_DB)
    pods = [pod("web", WEB, {"app": "web", "tier": "x"}), PODS[1]]
    assert sees(from_(peer), pods=pods)(TO_DB)
    assert not sees(from_({"podSelector": {"matchLabels": {"app": "web", "tier": "y"}}}), pods=pods)(TO_DB)


def test_an_operator_nobody_knows_is_refused():
    with pytest.raises(ValueError, match="Near"):
        sees(from_({"podSelector": {"matchExpressions": [{"key": "app", "operator": "Near"}]}}))


def test_a_policy_without_selector_selects_all():
    absent = policy()
    del absent["spec"]["podSelector"]
    assert not sees(absent)(TO_DB)


def test_what_belongs_to_an_open_connection_passes_and_so_do_answers():
    passes = sees(policy(policyTypes=["Ingress", "Egress"]))
    assert not passes(TO_DB)
    assert passes(replace(TO_DB, state="established"))
    assert passes(TO_DB.answer())
    assert passes(replace(TO_DB, protocol="ICMP", port=None, state="related"))
    assert passes(Packet(DB, NODE, hook="input", state="established")), "the answer to a probe"


def test_the_node_reaches_its_pods():
    closed = sees(policy(policyTypes=["Ingress", "Egress"]))
    assert closed(Packet(NODE, DB, hook="output"))


def test_egress_to_the_node_needs_a_block():
    closed = sees(policy(policyTypes=["Egress"]))
    assert not closed(Packet(WEB, NODE).to_node())
    block = {"to": [{"ipBlock": {"cidr": f"{NODE}/32"}}], "ports": [{"port": 53, "protocol": "UDP"}]}
    dns = sees(policy(policyTypes=["Egress"], egress=[block]))
    assert dns(Packet(WEB, NODE, "UDP", 53).to_node())
    assert not dns(Packet(WEB, NODE, "TCP", 6443).to_node())
    assert not dns(Packet(WEB, OUTSIDE, "UDP", 53))
    pods_only = sees(policy(policyTypes=["Egress"], egress=[{"to": [{"namespaceSelector": {}}]}]))
    assert not pods_only(Packet(WEB, NODE).to_node()), "a pod of the host's network is no pod here"


def test_the_node_speaks_with_itself_by_whatever_address():
    assert sees()(Packet("10.244.0.1", "10.244.0.1", hook="input", interface="lo"))


def test_a_pod_reaches_itself_by_way_of_a_service():
    closed = sees(policy(policyTypes=["Ingress", "Egress"]))
    assert closed(Packet(WEB, WEB))


def test_addresses_of_no_known_pod_are_closed_but_for_the_node():
    passes = sees()
    stranger = "10.244.0.77"
    assert not passes(Packet(stranger, DB))
    assert not passes(Packet(DB, stranger))
    assert not passes(Packet(stranger, OUTSIDE))
    assert not passes(Packet(OUTSIDE, stranger))
    assert not passes(Packet(stranger, NODE).to_node())
    assert passes(Packet(NODE, stranger, hook="output")), "a startup probe"
    assert passes(Packet(stranger, NODE, hook="input", state="established")), "its answer"
    assert passes(Packet(DB, "10.244.1.77")), "not of this node"


@pytest.mark.parametrize(
    "more", [{"phase": "Succeeded"}, {"phase": "Failed"}, {"host_network": True}], ids=["done", "failed", "host"]
)
def test_pods_that_ended_or_have_no_address_of_their_own_are_nobody(more):
    gone = pod("web", WEB, {"app": "web"}, **more)
    assert not sees(pods=[gone, PODS[1]])(TO_DB), "its address is nobody's"
    successor = pod("next", WEB, {"app": "next"})
    assert not sees(from_({"podSelector": app("web")}), pods=[gone, successor, PODS[1]])(TO_DB)
    assert sees(from_({"podSelector": app("next")}), pods=[gone, successor, PODS[1]])(TO_DB)
    assert sees(policy(podSelector=app("web"), policyTypes=["Egress"]), pods=[gone, successor, PODS[1]])(TO_DB)


def test_a_pod_without_address_does_not_disturb():
    waiting = pod("new", None, {"app": "web"}, phase="Pending")
    assert sees(from_({"podSelector": app("web")}), pods=[*PODS, waiting])(TO_DB)


def test_a_pod_counts_before_it_runs():
    pods = [pod("web", WEB, {"app": "web"}, phase="Pending"), PODS[1]]
    assert sees(pods=pods)(TO_DB)


def test_an_address_that_two_pods_claim_is_closed():
    twin = pod("twin", WEB, {"app": "web"})
    assert not sees(pods=[*PODS, twin])(TO_DB)


def test_ipv6_is_not_forwarded_and_does_not_reach_the_node():
    passes = sees()
    link = Packet("fe80::1", "fe80::2", ipv6=True)
    assert not passes(link)
    assert not passes(link.to_node())
    assert passes(replace(link, hook="input", interface="lo"))


def test_of_a_pod_with_two_families_the_ipv4_address_counts():
    both = pod("web", WEB, {"app": "web"})
    both["status"]["podIPs"] = [{"ip": "fd00::2"}, {"ip": WEB}]
    both["status"]["podIP"] = "fd00::2"
    assert sees(from_({"podSelector": app("web")}), pods=[both, PODS[1]])(TO_DB)
