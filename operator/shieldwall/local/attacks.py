"""Which clients of a run attack."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from shieldwall.local.attackers import AttackKind

if TYPE_CHECKING:
    from collections.abc import Sequence


class TooManyAttackersError(ValueError):
    """More attackers were asked for than there are clients."""

    def __init__(self, attackers: int, clients: int) -> None:
        super().__init__(f"{attackers} attackers were asked for, and the training has {clients} clients.")
        self.attackers = attackers
        self.clients = clients


class InvalidAttackError(ValueError):
    """A text does not name an attack; ``text`` holds it."""

    def __init__(self, text: str, reason: str) -> None:
        super().__init__(f"{text!r} is not an attack: {reason}")
        self.text = text


@dataclass(frozen=True, slots=True)
class Attack:
    """So many clients of one kind."""

    kind: AttackKind
    count: int

    @classmethod
    def parse(cls, text: str) -> Attack:
        """Read ``KIND:N`` or ``KIND``; raises InvalidAttackError."""
        name, colon, number = text.partition(":")
        kinds = ", ".join(AttackKind)
        if name not in set(AttackKind):
            raise InvalidAttackError(text, f"the kinds are {kinds}.")
        if colon and not (number.isascii() and number.isdecimal() and int(number) > 0):
            raise InvalidAttackError(text, "after the colon stands how many, from 1.")
        return cls(AttackKind(name), int(number) if colon else 1)

    def __str__(self) -> str:
        return f"{self.count} {self.kind} attacker{'s' if self.count > 1 else ''}"


def assign(clients: Sequence[str], attacks: Sequence[Attack]) -> dict[str, AttackKind]:
    """The kind of each attacking client: the last of the list attack, in the order given."""
    kinds = [attack.kind for attack in attacks for _ in range(attack.count)]
    if len(kinds) > len(clients):
        raise TooManyAttackersError(len(kinds), len(clients))
    return dict(zip(clients[len(clients) - len(kinds) :], kinds, strict=True))
