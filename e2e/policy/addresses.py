"""Address blocks, as in the API's IPBlock."""

from __future__ import annotations

from ipaddress import IPv4Network, ip_network
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kubernetes.aio.client import V1IPBlock


class RefusedBlockError(ValueError):
    """A block that is not IPv4; it allows nothing here, where IPv6 is not forwarded at all."""

    def __init__(self, text: str) -> None:
        super().__init__(f"{text} is no block of IPv4 addresses")
        self.text = text


def networks_of(block: V1IPBlock) -> tuple[IPv4Network, ...]:
    """What is in the block and in none of its exceptions. Raises RefusedBlockError."""
    remaining = [_network(block.cidr)]
    for hole in map(_network, block.var_except or ()):
        remaining = [part for network in remaining for part in _without(network, hole)]
    return tuple(remaining)


def _network(text: str) -> IPv4Network:
    try:
        network = ip_network(text, strict=False)
    except ValueError as error:
        raise RefusedBlockError(text) from error
    if not isinstance(network, IPv4Network):
        raise RefusedBlockError(text)
    return network


def _without(network: IPv4Network, hole: IPv4Network) -> Iterator[IPv4Network]:
    if not network.overlaps(hole):
        yield network
    elif hole.prefixlen > network.prefixlen:
        yield from network.address_exclude(hole)
