"""What each client sent in the rounds before, in a form small enough to keep: its values at a few secret places.

An update that is sent again is the same at every place, up to the rounding of the model it was added to.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

    from shieldwall.runtime.model import Vector

PLACES: Final = 256
REMEMBERED: Final = 10
"""Rounds."""
_APART: Final = 2e-5
"""1 − cosine below which a mark is an earlier one: honest clients' successive updates come no nearer than 5e-4."""
_SEED_BYTES: Final = 16


@dataclass(frozen=True, slots=True, eq=False)
class Marks:
    """The marks of the last rounds, by node key."""

    places: NDArray[np.int64]
    """(m,), which coordinates of an update are kept; clients do not know them."""
    size: int
    """d."""
    keys: tuple[str, ...] = ()
    rounds: tuple[int, ...] = ()
    values: NDArray[np.float32] | None = None
    """(rows, m), one row for each key and round."""

    @classmethod
    def fresh(cls, size: int, random: Callable[[int], bytes]) -> Marks:
        """No marks yet; ``random(n)`` gives n unpredictable bytes."""
        generator = np.random.default_rng(int.from_bytes(random(_SEED_BYTES), "big"))
        return cls(np.sort(generator.choice(size, min(PLACES, size), replace=False)).astype(np.int64), size)

    def repeats(self, updates: Mapping[str, Vector], round_: int) -> dict[str, bool]:
        """Whether each update, by node key, was sent by the same key in a round before ``round_``."""
        return {key: self._is_repeat(key, vector[self.places], round_) for key, vector in updates.items()}

    def after(self, updates: Mapping[str, Vector], round_: int) -> Marks:
        """With the updates of ``round_``, in place of what it left when it was tried before."""
        kept = [row for row in range(len(self.rounds)) if self._is_recent(row, round_)]
        old = self.values[kept] if self.values is not None else np.empty((0, self.places.size), np.float32)
        with np.errstate(over="ignore"):
            new = [vector[self.places].astype(np.float32) for vector in updates.values()]
        return Marks(
            self.places,
            self.size,
            (*(self.keys[row] for row in kept), *updates),
            (*(self.rounds[row] for row in kept), *(round_ for _ in updates)),
            np.vstack([old, *new]) if new else old,
        )

    def _is_repeat(self, key: str, mark: NDArray[np.floating], round_: int) -> bool:
        own = [row for row, owner in enumerate(self.keys) if owner == key and self._is_recent(row, round_)]
        if not own or self.values is None:
            return False
        earlier, now = self.values[own].astype(np.float64), mark.astype(np.float64)
        lengths = np.linalg.norm(earlier, axis=1) * np.linalg.norm(now)
        cosine = np.divide(earlier @ now, lengths, out=np.zeros(len(own)), where=lengths > 0)
        return bool((1.0 - cosine < _APART).any())

    def _is_recent(self, row: int, round_: int) -> bool:
        return round_ - REMEMBERED < self.rounds[row] < round_
