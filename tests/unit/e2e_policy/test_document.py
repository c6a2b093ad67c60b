"""The document itself: one transaction in a table of its own, names that the kernel takes, sizes."""

from __future__ import annotations

from unit.e2e_policy.objects import computed, namespace, pod, policy
from unit.e2e_policy.simulator import Packet, Ruleset

SPACE = [namespace("fed")]


def test_the_table_is_replaced_as_a_whole_and_no_other_is_touched():
    commands = computed([], [], []).document["nftables"]
    assert [next(iter(each)) for each in commands[:3]] == ["add", "delete", "add"]
    for command in commands:
        ((_, what),) = command.items()
        ((kind, body),) = what.items()
        assert body["family"] == "inet"
        assert body["name" if kind == "table" else "table"] == "shieldwall_policy"


def test_there_is_nothing_in_the_way_of_what_the_node_sends():
    hooks = {hook for hook, _, _ in Ruleset(computed([], [], []).document).hooks}
    assert hooks == {"forward", "input"}


def test_chains_have_names_of_their_own_that_the_kernel_takes():
    pods = [pod("one", "10.244.0.2")]
    long = "n" * 240
    policies = [policy(f"{long}-a"), policy(f"{long}-b"), policy("c", where="a-b"), policy("b-c", where="a")]
    chains = Ruleset(computed(pods, SPACE, policies).document).chains  # asserts that none is there twice
    assert max(map(len, chains)) < 256
    assert sum(name.startswith("policy/") for name in chains) == 4


def test_peers_are_written_as_few_blocks():
    peers = [{"ipBlock": {"cidr": "10.244.0.0/25"}}, {"ipBlock": {"cidr": "10.244.0.128/25"}}, {"podSelector": {}}]
    document = computed([pod("one", "10.244.0.2")], SPACE, [policy(ingress=[{"from": peers}])]).document
    (rule,) = Ruleset(document).chains["policy/ingress/fed/p"]
    assert rule[0]["match"]["right"] == {"set": [{"prefix": {"addr": "10.244.0.0", "len": 24}}]}


def test_a_hundred_clients_make_no_hundred_times_hundred_rules():
    pods = [pod(f"p{number}", f"10.244.0.{number}") for number in range(2, 102)]
    document = computed(pods, SPACE, [policy(ingress=[{"from": [{"podSelector": {}}]}])]).document
    assert len(document["nftables"]) < 400
    assert Ruleset(document).passes(Packet("10.244.0.2", "10.244.0.101"))
