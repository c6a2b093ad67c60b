"""Ports, as in the API's NetworkPolicyPort."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Self

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from kubernetes.aio.client import V1NetworkPolicyPort

Range = tuple[int, int]
"""First and last."""
_ALL: Final = (0, 65535)


@dataclass(frozen=True)
class Ports:
    """What one protocol may reach."""

    protocol: str
    ranges: tuple[Range, ...]
    """Ascending; nft merges those that overlap."""
    names: frozenset[str]
    """Each is a port of the pod that is reached, whichever number it has there."""

    @classmethod
    def of(cls, protocol: str, ports: Iterable[V1NetworkPolicyPort]) -> Self:
        """The union of ``ports``, those of other protocols left aside."""
        ranges, names = set(), set()
        for each in ports:
            if (each.protocol or "TCP") != protocol:
                continue
            if isinstance(each.port, str):
                names.add(each.port)
            else:
                ranges.add(_ALL if each.port is None else (each.port, each.end_port or each.port))
        return cls(protocol, tuple(sorted(ranges)), frozenset(names))

    @property
    def everything(self) -> bool:
        """Whether no port is closed."""
        return _ALL in self.ranges


def ports_of(ports: Sequence[V1NetworkPolicyPort] | None) -> tuple[Ports, ...] | None:
    """One entry for each protocol that is named; None where all ports of all protocols are meant."""
    if not ports:
        return None
    return tuple(Ports.of(protocol, ports) for protocol in sorted({each.protocol or "TCP" for each in ports}))
