"""Who is meant by ``from`` and ``to``."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Network, collapse_addresses
from typing import TYPE_CHECKING

from .addresses import RefusedBlockError, networks_of
from .labels import matches

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from kubernetes.aio.client import V1NetworkPolicyPeer

    from .endpoints import Endpoint


@dataclass(frozen=True)
class Peers:
    """Addresses, each in one network only."""

    networks: tuple[IPv4Network, ...]
    refused: tuple[str, ...] = ()
    """Blocks that could not be used, and so allow nothing."""


@dataclass(frozen=True)
class World:
    """What selectors select from."""

    endpoints: tuple[Endpoint, ...]
    namespaces: Mapping[str, Mapping[str, str]]
    """Their labels. No selector of namespaces matches one that is not known (yet)."""

    def peers(self, namespace: str, peers: Sequence[V1NetworkPolicyPeer] | None) -> Peers | None:
        """Those that a policy in ``namespace`` means; None for everybody, in the cluster and out of it."""
        if not peers:
            return None
        networks: list[IPv4Network] = []
        refused: list[str] = []
        for peer in peers:
            try:
                networks += self._networks(namespace, peer)
            except RefusedBlockError as error:
                refused.append(error.text)
        return Peers(tuple(collapse_addresses(networks)), tuple(refused))

    def _networks(self, namespace: str, peer: V1NetworkPolicyPeer) -> Iterator[IPv4Network]:
        if peer.ip_block is not None:
            yield from networks_of(peer.ip_block)
        elif peer.pod_selector is not None or peer.namespace_selector is not None:
            for endpoint in self.endpoints:
                if self._selects(peer, namespace, endpoint):
                    yield IPv4Network(endpoint.address)

    def _selects(self, peer: V1NetworkPolicyPeer, namespace: str, endpoint: Endpoint) -> bool:
        if peer.pod_selector is not None and not matches(peer.pod_selector, endpoint.labels):
            return False
        if peer.namespace_selector is None:
            return endpoint.namespace == namespace
        labels = self.namespaces.get(endpoint.namespace)
        return labels is not None and matches(peer.namespace_selector, labels)
