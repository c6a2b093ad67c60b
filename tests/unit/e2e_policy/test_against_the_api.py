"""The ruleset and an independent reading of the API decide alike about every packet, in clusters drawn at random."""

from __future__ import annotations

import json
from itertools import product

from hypothesis import given, settings
from hypothesis import strategies as st
from unit.e2e_policy import strategies as some
from unit.e2e_policy.objects import POD_CIDR, computed
from unit.e2e_policy.reading import Cluster
from unit.e2e_policy.simulator import Packet, Ruleset

EVERYBODY = (*some.ADDRESSES, *some.OUTSIDE)
PACKETS = [
    Packet(source, destination, protocol, port, hook)
    for source, (protocol, port) in product(EVERYBODY, some.SERVICES)
    for destination, hook in [*((each, "forward") for each in EVERYBODY), (some.NODE, "input")]
]


@settings(max_examples=400, deadline=None)
@given(pods=some.pods, namespaces=some.namespaces, policies=some.policies)
def test_every_packet_meets_the_verdict_of_the_api(pods, namespaces, policies):
    passes = Ruleset(computed(pods, namespaces, policies).document).passes
    allows = Cluster(pods, namespaces, policies, POD_CIDR).allows
    wrong = [packet for packet in PACKETS if passes(packet) != allows(packet)]
    assert not wrong


@settings(max_examples=100, deadline=None)
@given(pods=some.pods, namespaces=some.namespaces, policies=some.policies, chance=st.randoms())
def test_the_order_of_objects_changes_no_byte(pods, namespaces, policies, chance):
    before = computed(pods, namespaces, policies)
    for each in (pods, namespaces, policies):
        chance.shuffle(each)
    after = computed(pods, namespaces, policies)
    assert json.dumps(after.document) == json.dumps(before.document)
    assert after == before


@settings(max_examples=100, deadline=None)
@given(pods=some.pods, namespaces=some.namespaces, policies=some.policies)
def test_one_more_policy_never_lets_less_through_of_what_isolation_lets_through(pods, namespaces, policies):
    """Policies are additive: between pods that are isolated both ways already, another only ever adds."""
    closed = [
        {"metadata": {"name": f"closed-{space}", "namespace": space}, "spec": {"policyTypes": ["Ingress", "Egress"]}}
        for space in some.SPACES
    ]
    let_through: set[Packet] = set()
    for count in range(len(policies) + 1):
        passes = Ruleset(computed(pods, namespaces, closed + policies[:count]).document).passes
        now = {packet for pair in product(EVERYBODY, EVERYBODY) if passes(packet := Packet(*pair))}
        assert let_through <= now
        let_through = now
