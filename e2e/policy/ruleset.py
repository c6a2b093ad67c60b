"""From objects to a ruleset, purely: same objects in any order, same bytes."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from . import nftables as nft
from .endpoints import endpoints_of
from .peers import World
from .policies import Direction, isolations

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from ipaddress import IPv4Address, IPv4Network

    from kubernetes.aio.client import V1Namespace, V1NetworkPolicy, V1Pod

    from .policies import Isolation

_PODS: Final = "pods"
_ITSELF: Final = "itself"


@dataclass(frozen=True)
class Ruleset:
    """A document for ``nft -j -f -``, which replaces the one before as a whole."""

    document: nft.Json
    pods: int
    policies: int
    """A policy that isolates in both directions counts twice."""
    refused: tuple[str, ...]
    """Blocks of policies that allow nothing since they are not IPv4, as ``chain: block``."""

    def __str__(self) -> str:
        return f"{self.pods} pods, {self.policies} policies by direction, {len(self.document['nftables'])} commands"


def ruleset(
    pods: Iterable[V1Pod], namespaces: Iterable[V1Namespace], policies: Iterable[V1NetworkPolicy], pod_cidr: IPv4Network
) -> Ruleset:
    """What is enforced when these objects are all there are. Raises ValueError for what the API would not admit."""
    labels = {each.metadata.name or "": each.metadata.labels or {} for each in namespaces if each.metadata is not None}
    world = World(endpoints_of(pods), labels)
    found = sorted((each for policy in policies for each in isolations(policy, world)), key=lambda each: each.chain)
    commands = [
        *_addresses(world),
        *(command for isolation in found for command in (nft.chain(isolation.chain), *isolation.rules)),
        *_decisions(Direction.EGRESS, found, pod_cidr),
        *_decisions(Direction.INGRESS, found, pod_cidr),
        *_hooks(),
    ]
    refused = tuple(f"{each.chain}: {block}" for each in found for block in each.refused)
    return Ruleset(nft.replacement(commands), len(world.endpoints), len(found), refused)


def _addresses(world: World) -> Iterator[nft.Json]:
    texts = [str(each.address) for each in world.endpoints]
    yield nft.named_set(_PODS, "ipv4_addr", texts)
    yield nft.named_set(_ITSELF, ["ipv4_addr", "ipv4_addr"], [{"concat": [each, each]} for each in texts])


def _decisions(direction: Direction, found: list[Isolation], pod_cidr: IPv4Network) -> Iterator[nft.Json]:
    """The chain of one direction, and what each isolated pod may: what some policy accepts, and no more."""
    policies: defaultdict[IPv4Address, list[str]] = defaultdict(list)
    for isolation in found:
        if isolation.direction is direction:
            for endpoint in isolation.selected:
                policies[endpoint.address].append(isolation.chain)
    targets = [(address, f"pod/{direction.value}/{address}") for address in sorted(policies)]
    for address, name in targets:
        yield nft.chain(name)
        yield from (nft.rule(name, nft.jump(each)) for each in policies[address])
        yield nft.rule(name, nft.DROP)
    isolated = f"isolated_{direction.value}"
    yield nft.verdict_map(isolated, targets)
    yield nft.chain(direction.value)
    for expressions in (
        (nft.KNOWN_CONNECTION, nft.ACCEPT),
        (nft.IPV6, nft.DROP),
        (nft.pair_in(_ITSELF), nft.ACCEPT),  # by way of a Service; a pod cannot block access to itself
        (nft.inside(direction.own, pod_cidr), nft.outside(direction.own, _PODS), nft.DROP),  # not known yet, or gone
        (nft.decide(direction.own, isolated),),
    ):
        yield nft.rule(direction.value, *expressions)


def _hooks() -> Iterator[nft.Json]:
    """Forwarded packets pass egress and then ingress; those from pods to the node pass egress.

    What the node itself sends comes through neither hook: it always reaches the pods on it.
    """
    yield nft.hook("forward_egress", "forward", 0)
    yield nft.rule("forward_egress", nft.jump(Direction.EGRESS.value))
    yield nft.hook("forward_ingress", "forward", 1)  # a chain of its own: what egress accepts comes here still
    yield nft.rule("forward_ingress", nft.jump(Direction.INGRESS.value))
    yield nft.hook("node", "input", 0)
    yield nft.rule("node", nft.LOOPBACK, nft.ACCEPT)
    yield nft.rule("node", nft.jump(Direction.EGRESS.value))
