"""Losses of privacy, added without rounding: in decimals as people write them, 0.1 + 0.2 is 0.3."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

from shieldwall.control.api.budget_status import PrivacyLoss

if TYPE_CHECKING:
    from collections.abc import Iterable


@dataclass(frozen=True, slots=True)
class Loss:
    """(ε, δ). Basic composition adds both (Dwork and Roth 2014, Theorem 3.16)."""

    epsilon: Fraction = Fraction(0)
    delta: Fraction = Fraction(0)

    @classmethod
    def of(cls, epsilon: float, delta: float) -> Loss:
        """As two floats are written in decimals."""
        return cls(exact(epsilon), exact(delta))

    @classmethod
    def read(cls, told: PrivacyLoss | None) -> Loss:
        """As status has it; nothing when it has none."""
        return cls.of(told.epsilon, told.delta) if told is not None else cls()

    def told(self) -> PrivacyLoss:
        """For status."""
        return PrivacyLoss(epsilon=float(self.epsilon), delta=float(self.delta))

    def __add__(self, other: Loss) -> Loss:
        return Loss(self.epsilon + other.epsilon, self.delta + other.delta)

    def less(self, other: Loss) -> Loss:
        """What remains of each part after ``other`` is taken away; never below nothing."""
        return Loss(max(self.epsilon - other.epsilon, Fraction(0)), max(self.delta - other.delta, Fraction(0)))

    def fits(self, room: Loss) -> bool:
        """Whether both parts are within ``room``."""
        return self.epsilon <= room.epsilon and self.delta <= room.delta

    def __bool__(self) -> bool:
        return bool(self.epsilon or self.delta)


def exact(value: float) -> Fraction:
    """The decimal number that the float is written as."""
    return Fraction(repr(value))


def total(losses: Iterable[Loss]) -> Loss:
    """The sum of all."""
    return sum(losses, Loss())


def show(value: Fraction) -> str:
    """For people: 0.4, 1.0, 1e-05. With all its digits, for a sum that does not fit must not look as if it did."""
    return repr(float(value))
