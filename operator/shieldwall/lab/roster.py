"""Which clients of a simulated training attack, and how."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from shieldwall.lab.attacks import PLANS, LabAttack
from shieldwall.local.attacks import InvalidAttackError, TooManyAttackersError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from shieldwall.lab.attacks import Poison

EVERY: Final = "all"
"""Stands for each attack, one after the other."""


@dataclass(frozen=True, slots=True)
class Band:
    """So many clients of one kind."""

    kind: LabAttack
    count: int

    def __str__(self) -> str:
        return f"{self.count} × {self.kind}"


def parse_bands(texts: Sequence[str], tolerated: int) -> list[tuple[Band, ...]]:
    """The attacks to simulate, each with all who attack at once: ``KIND[:N] …``, or ``all[:N]`` for each alone.

    Without N as many attack as the policy tolerates, and one where it tolerates none. Raises InvalidAttackError.
    """
    read = [_parse(text, max(tolerated, 1)) for text in texts]
    together = tuple(Band(LabAttack(name), count) for name, count in read if name != EVERY)
    alone = [(Band(kind, count),) for name, count in read if name == EVERY for kind in LabAttack]
    return ([together] if together else []) + alone


def _parse(text: str, default: int) -> tuple[str, int]:
    name, colon, number = text.partition(":")
    if name not in {*LabAttack, EVERY}:
        raise InvalidAttackError(text, f"the kinds are {', '.join(LabAttack)}, and {EVERY}.")
    if colon and not (number.isascii() and number.isdecimal() and int(number) > 0):
        raise InvalidAttackError(text, "after the colon stands how many, from 1.")
    return name, int(number) if colon else default


def assign(clients: Sequence[str], bands: Sequence[Band]) -> dict[str, LabAttack]:
    """The kind of each attacking client: the last of the list attack, in the order given.

    Raises TooManyAttackersError, also when nobody honest would be left.
    """
    kinds = [band.kind for band in bands for _ in range(band.count)]
    if len(kinds) >= len(clients):
        raise TooManyAttackersError(len(kinds), len(clients))
    return dict(zip(clients[len(clients) - len(kinds) :], kinds, strict=True))


def poisoned(attackers: Mapping[str, LabAttack]) -> dict[str, Poison]:
    """What is done to the data of those who train on poisoned data."""
    plans = {name: PLANS[kind].poison for name, kind in attackers.items()}
    return {name: poison for name, poison in plans.items() if poison is not None}
