"""Who may take part: certificate identity ↔ Flower node key ↔ node id."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives import serialization

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from shieldwall.contract.policy import RuntimePolicy
    from shieldwall.runtime.steward.flower import Node


class DuplicateNodeKeyError(ValueError):
    """Two clients of the policy have the same node key, so replies could not be told apart."""

    def __init__(self, first: str, second: str) -> None:
        super().__init__(f"clients {first!r} and {second!r} have the same node key")
        self.clients = (first, second)


@dataclass(frozen=True, slots=True)
class Member:
    """One client of the policy."""

    client: str
    identity: str
    """SPIFFE id."""
    public_key: bytes
    """SubjectPublicKeyInfo PEM, byte for byte as the SuperNode sends it."""
    key_sha256: str
    """Of the key's SubjectPublicKeyInfo DER, hex."""
    node_id: int | None = None
    """None until the SuperLink has registered the key."""


@dataclass(frozen=True, slots=True)
class Registry:
    """All clients of the policy, by SPIFFE id."""

    members: Mapping[str, Member]

    def by_client(self, client: str) -> Member | None:
        """The member with that name."""
        return next((member for member in self.members.values() if member.client == client), None)

    def unregistered(self) -> tuple[Member, ...]:
        """Those whose key the SuperLink does not know yet, or no longer."""
        return tuple(member for member in self.members.values() if member.node_id is None)

    def with_nodes(self, nodes: Iterable[Node]) -> Registry:
        """The same members with the node ids that the SuperLink lists for their keys, and no others."""
        ids = {node.public_key: node.node_id for node in nodes}
        return Registry(
            {identity: replace(member, node_id=ids.get(member.public_key)) for identity, member in self.members.items()}
        )


def registry_of(policy: RuntimePolicy) -> Registry:
    """The policy's clients, none registered. Raises ValueError for a text that is not a public key."""
    members: dict[str, Member] = {}
    owners: dict[str, str] = {}
    for client in policy.clients:
        key = serialization.load_pem_public_key(client.node_public_key.encode())
        form = serialization.PublicFormat.SubjectPublicKeyInfo
        digest = hashlib.sha256(key.public_bytes(serialization.Encoding.DER, form)).hexdigest()
        if digest in owners:
            raise DuplicateNodeKeyError(owners[digest], client.name)
        owners[digest] = client.name
        identity = policy.federation.id.client(client.name).uri
        pem = key.public_bytes(serialization.Encoding.PEM, form)
        members[identity] = Member(client.name, identity, pem, digest)
    return Registry(members)
