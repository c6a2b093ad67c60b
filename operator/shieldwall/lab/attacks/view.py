"""What attackers know, and what they make of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

Matrix = NDArray[np.float64]
"""Shape (rows, d)."""
Vector = NDArray[np.float64]
"""Shape (d,)."""
State = dict[str, NDArray[Any]]
"""What colluding attackers remember from one round to the next."""


@dataclass(frozen=True, slots=True, eq=False)
class View:
    """One round as colluding and omniscient attackers see it: the strongest threat model, for the surest answer."""

    honest: Matrix
    """The updates of the h honest clients, (h, d), in the order of their names."""
    own: Matrix
    """What the a attackers' own training gave, (a, d): on their data, or on poisoned data."""
    deltas: tuple[Vector, ...]
    """Global updates of the rounds before, oldest first, each (d,)."""
    round: int
    """From 1."""
    rule: Callable[[Matrix], Vector]
    """The defence: (n, d) → (d,). Adaptive attacks try their lies on it first."""
    rng: np.random.Generator
    state: Mapping[str, NDArray[Any]] = field(default_factory=dict)

    @property
    def mean(self) -> Vector:
        """Of the honest updates."""
        mean: Vector = self.honest.mean(axis=0)
        return mean

    @property
    def spread(self) -> Vector:
        """Standard deviation of each coordinate over the honest updates."""
        spread: Vector = self.honest.std(axis=0)
        return spread

    @property
    def attackers(self) -> int:
        """How many attackers there are."""
        return len(self.own)

    @property
    def total(self) -> int:
        """N, honest clients and attackers."""
        return len(self.honest) + len(self.own)

    def all_send(self, update: Vector) -> Matrix:
        """Every attacker sends the same."""
        return np.tile(update, (self.attackers, 1))


@dataclass(frozen=True, slots=True, eq=False)
class Lies:
    """What the attackers send, and what they remember."""

    updates: Matrix
    """(a, d)."""
    state: State = field(default_factory=dict)


def norms(matrix: Matrix) -> Vector:
    """L2 norm of each row."""
    found: Vector = np.linalg.norm(matrix, axis=1)
    return found


def scaled_to(update: Vector, length: float) -> Vector:
    """``update`` with the norm ``length``; zero stays zero."""
    own = float(np.linalg.norm(update))
    return update * (length / own) if own > 0 else update
