"""Which of Flower's nodes are which of our clients."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from shieldwall.contract.cohort import clients_asked

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from shieldwall.contract.policy import RuntimePolicy


class Node(Protocol):
    """What Flower says of a node (flwr.proto.node_pb2.NodeInfo)."""

    @property
    def node_id(self) -> int: ...  # noqa: D102  # Flower's word
    @property
    def public_key(self) -> bytes: ...  # noqa: D102  # SubjectPublicKeyInfo PEM


def members(nodes: Iterable[Node], policy: RuntimePolicy) -> dict[int, str]:
    """Names of our clients by node id; a node whose key the policy does not name is not one of them."""
    names = {client.node_public_key.strip(): client.name for client in policy.clients}
    found = {node.node_id: names.get(node.public_key.decode("ascii", "replace").strip()) for node in nodes}
    return {node_id: name for node_id, name in found.items() if name is not None}


def sample(
    online: Mapping[int, str],
    denied: frozenset[str],
    policy: RuntimePolicy,
    choose: Callable[[Sequence[int], int], list[int]],
) -> dict[int, str]:
    """The nodes to ask in a round, of those online and allowed: as many as ``clients_asked`` says, or all of them.

    ``choose(population, k)`` draws without replacement (``random.SystemRandom().sample``).
    """
    eligible = sorted(node_id for node_id, name in online.items() if name not in denied)
    wanted = clients_asked(policy.rounds.fraction_train, len(policy.clients), policy.rounds.min_replies)
    chosen = eligible if wanted >= len(eligible) else choose(eligible, wanted)
    return {node_id: online[node_id] for node_id in chosen}
