"""One policy in one direction: whom it isolates, and the chain that accepts what it allows."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final

from . import nftables as nft
from .labels import matches
from .ports import Ports, ports_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kubernetes.aio.client import V1NetworkPolicy, V1NetworkPolicySpec

    from .endpoints import Endpoint
    from .peers import Peers, World

_LONGEST: Final = 200
"""Of a chain's name; the kernel takes 255 bytes."""


class Direction(Enum):
    """As seen from the pod that a policy selects."""

    EGRESS = "egress"
    INGRESS = "ingress"

    @property
    def own(self) -> nft.Field:
        """Where a packet carries the address of the selected pod."""
        return "saddr" if self is Direction.EGRESS else "daddr"

    @property
    def other(self) -> nft.Field:
        """Where it carries that of the peer."""
        return "daddr" if self is Direction.EGRESS else "saddr"


@dataclass(frozen=True)
class Isolation:
    """What one policy does in one direction."""

    chain: str
    direction: Direction
    selected: tuple[Endpoint, ...]
    rules: tuple[nft.Json, ...]
    refused: tuple[str, ...]


def isolations(policy: V1NetworkPolicy, world: World) -> Iterator[Isolation]:
    """The directions in which ``policy`` isolates pods."""
    metadata, spec = policy.metadata, policy.spec
    if metadata is None or spec is None:
        return
    namespace, name = metadata.namespace or "", metadata.name or ""
    selected = tuple(
        endpoint
        for endpoint in world.endpoints
        if endpoint.namespace == namespace
        and (spec.pod_selector is None or matches(spec.pod_selector, endpoint.labels))
    )
    for direction in _directions(spec):
        chain = _chain_name(direction, namespace, name)
        rules: list[nft.Json] = []
        refused: list[str] = []
        for others, ports in _sections(spec, direction):
            peers = world.peers(namespace, others)
            reached = selected if direction is Direction.INGRESS else world.endpoints
            rules += [
                nft.rule(chain, *each, nft.ACCEPT) for each in _allowed(direction, peers, ports_of(ports), reached)
            ]
            refused += peers.refused if peers is not None else ()
        yield Isolation(chain, direction, selected, tuple(rules), tuple(refused))


def _directions(spec: V1NetworkPolicySpec) -> Iterator[Direction]:
    types = spec.policy_types or ["Ingress", *(["Egress"] if spec.egress else [])]
    yield from (each for each in Direction if each.name.capitalize() in types)


def _sections(spec: V1NetworkPolicySpec, direction: Direction) -> Iterator[tuple[Any, Any]]:
    """Peers and ports of each rule."""
    if direction is Direction.INGRESS:
        yield from ((each.var_from, each.ports) for each in spec.ingress or ())
    else:
        yield from ((each.to, each.ports) for each in spec.egress or ())


def _allowed(
    direction: Direction, peers: Peers | None, ports: tuple[Ports, ...] | None, reached: tuple[Endpoint, ...]
) -> Iterator[tuple[nft.Json, ...]]:
    """What a packet must match, one way or another."""
    if peers is not None and not peers.networks:
        return
    of_peers = () if peers is None else (nft.among(direction.other, peers.networks),)
    if ports is None:
        yield of_peers
        return
    for each in ports:
        if each.everything:
            yield (*of_peers, nft.protocol_is(each.protocol))
        elif each.ranges:
            yield (*of_peers, nft.port_in(each.protocol, each.ranges))
        if services := _services(each, reached):
            yield (*of_peers, nft.service_in(each.protocol, services))


def _services(ports: Ports, reached: tuple[Endpoint, ...]) -> list[tuple[Any, int]]:
    """Where the named ports are: a name is one of the pod that is reached, in both directions."""
    return sorted(
        {
            (endpoint.address, port.number)
            for endpoint in reached
            for port in endpoint.ports
            if port.name in ports.names and port.protocol == ports.protocol
        }
    )


def _chain_name(direction: Direction, namespace: str, name: str) -> str:
    full = f"policy/{direction.value}/{namespace}/{name}"
    return full if len(full) <= _LONGEST else f"{full[:_LONGEST]}_{sha256(full.encode()).hexdigest()[:16]}"
