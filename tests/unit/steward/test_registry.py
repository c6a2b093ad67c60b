"""Identities, node keys and node ids belong together."""

from __future__ import annotations

import hashlib

import pytest
from cryptography.hazmat.primitives import serialization

from shieldwall.contract.policy import ClientPolicy
from shieldwall.runtime.steward.flower import Node
from shieldwall.runtime.steward.registry import DuplicateNodeKeyError, registry_of


def test_members_are_found_by_identity_and_by_name(world):
    registry = registry_of(world.policy())
    member = registry.members[world.identity("paris")]
    assert registry.by_client("paris") is member
    assert registry.by_client("madrid") is None
    spki = (
        world.keys["paris"]
        .public_key()
        .public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    )
    assert member.key_sha256 == hashlib.sha256(spki).hexdigest()
    assert member.public_key == world.public("paris")


def test_node_ids_come_from_the_superlink_alone(world):
    registry = registry_of(world.policy())
    assert len(registry.unregistered()) == 3
    registry = registry.with_nodes(world.nodes()[:2])
    assert [member.client for member in registry.unregistered()] == ["rome"]
    assert registry.by_client("berlin").node_id == 101
    lost = registry.with_nodes([Node(7, world.public("stranger"), online=True)])
    assert len(lost.unregistered()) == 3


def test_the_key_is_compared_as_flower_writes_it(world):
    policy = world.policy()
    spaced = ClientPolicy(name="berlin", node_public_key="\n" + policy.clients[0].node_public_key.strip())
    policy = policy.model_copy(update={"clients": (spaced,)})
    assert registry_of(policy).by_client("berlin").public_key == world.public("berlin")


def test_two_clients_with_one_key_are_refused(world):
    policy = world.policy()
    twin = ClientPolicy(name="twin", node_public_key=policy.clients[0].node_public_key)
    policy = policy.model_copy(update={"clients": (*policy.clients, twin)})
    with pytest.raises(DuplicateNodeKeyError) as caught:
        registry_of(policy)
    assert caught.value.clients == ("berlin", "twin")
