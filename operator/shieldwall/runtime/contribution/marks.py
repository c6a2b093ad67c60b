"""What was sent and released in the rounds before, in a form small enough to keep: as secret sketches.

An update that is sent again is the same in its sketch, up to the rounding of the model it was added to. One that is
put together from what the global model did earlier lies in the span of those steps' sketches.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import numpy as np

from shieldwall.runtime.contribution.innovation import beyond_deltas
from shieldwall.runtime.contribution.sketch import SEED_BYTES, width_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    Rows = NDArray[np.floating]

REMEMBERED: Final = 10
"""Rounds of each client's updates."""
STEPS: Final = 256
"""Steps of the global model."""
_APART: Final = 2e-5
"""1 − cosine above which a mark is no earlier one, however coarse the model's numbers are."""
_EXACT: Final = 1e-12
"""The same for a model of which nothing is rounded: marks themselves are kept in float32."""
_FEWEST: Final = 32
"""Numbers of a mark that are not zero: with fewer, honest updates may agree by chance."""
_NOTHING_ELSE: Final = 0.003
"""Share of an update's squared length beyond the steps below which it is made of them: honest clients' updates keep
more than 0.05 of theirs in the first hundred rounds, and 0.013 in three hundred."""
_FAR_LESS: Final = 0.1
"""Of the round's median share: where everybody goes on as the model did, nobody replays it."""
_SHARE_OF_SPACE: Final = 0.25
"""The steps that are compared with span no more of the dimensions that there are."""


@dataclass(frozen=True, slots=True, eq=False)
class Marks:
    """The sketches of the last rounds: of updates by node key, and of the global model's steps."""

    seed: bytes
    """What draws the sketches' signs; clients do not know it."""
    size: int
    """d."""
    keys: tuple[str, ...] = ()
    rounds: tuple[int, ...] = ()
    values: NDArray[np.float32] | None = None
    """(rows, m), one row for each key and round."""
    step_rounds: tuple[int, ...] = ()
    """The rounds that sent out what a step led to, in order."""
    steps: NDArray[np.float32] | None = None
    """(rows, m), one for each of them."""

    @classmethod
    def fresh(cls, size: int, random: Callable[[int], bytes]) -> Marks:
        """No marks yet; ``random(n)`` gives n unpredictable bytes."""
        return cls(random(SEED_BYTES), size)

    def repeats(self, updates: Mapping[str, Rows], round_: int, rounding: float) -> dict[str, bool]:
        """Whether each update, a sketch by node key, was sent by the same key in a round before ``round_``.

        Nearer than ``rounding``, the length of what adding an update to the model rounds off, makes it (``rounding_of``
        knows). Whoever trains on all of its data in each step sends updates that turn very slowly, and may come as near
        where a model hardly moves: where more than half do, nobody repeats.
        """
        found = {key: self._is_repeat(key, mark, round_, rounding) for key, mark in updates.items()}
        return dict.fromkeys(found, False) if 2 * sum(found.values()) > len(found) else found

    def replays(self, updates: Sequence[Rows], moving: int) -> list[bool]:
        """Whether each update, a sketch, is put together from steps that are known, of ``moving`` coordinates."""
        most = int(_SHARE_OF_SPACE * min(width_of(self.size), moving))
        if self.steps is None or not self.steps.size or not most or not updates:
            return [False] * len(updates)
        rows = np.vstack([*updates, self.steps[-most:]]).astype(np.float64)
        with np.errstate(over="ignore", invalid="ignore"):
            gram = rows @ rows.T
        if not np.isfinite(gram).all():
            return [False] * len(updates)
        whole = np.diag(gram)[: len(updates)]
        rest = np.diag(beyond_deltas(gram, len(updates)))
        shares = np.divide(rest, whole, out=np.ones(len(updates)), where=whole > 0)
        return [bool(share < min(_NOTHING_ELSE, _FAR_LESS * np.median(shares))) for share in shares]

    def after(self, updates: Mapping[str, Rows], round_: int) -> Marks:
        """With the sketches of the updates of ``round_``, in place of what it left when it was tried before."""
        kept = [row for row in range(len(self.rounds)) if self._is_recent(row, round_)]
        with np.errstate(over="ignore"):
            new = [mark.astype(np.float32) for mark in updates.values()]
        return replace(
            self,
            keys=(*(self.keys[row] for row in kept), *updates),
            rounds=(*(self.rounds[row] for row in kept), *(round_ for _ in updates)),
            values=self._stacked(self.values, kept, new),
        )

    def after_step(self, step: Rows | None, round_: int) -> Marks:
        """With the sketch of the step that led to what ``round_`` sent out, and without later ones."""
        kept = [row for row, number in enumerate(self.step_rounds) if number < round_ + (step is None)][-STEPS + 1 :]
        with np.errstate(over="ignore"):
            new = [] if step is None else [step.astype(np.float32)]
        rounds = (*(self.step_rounds[row] for row in kept), *(round_ for _ in new))
        return replace(self, step_rounds=rounds, steps=self._stacked(self.steps, kept, new))

    def _stacked(
        self, old: NDArray[np.float32] | None, kept: Sequence[int], new: Sequence[NDArray[np.float32]]
    ) -> NDArray[np.float32]:
        rows = old[list(kept)] if old is not None else np.empty((0, width_of(self.size)), np.float32)
        return np.vstack([rows, *new]) if new else rows

    def _is_repeat(self, key: str, mark: Rows, round_: int, rounding: float) -> bool:
        own = [row for row, owner in enumerate(self.keys) if owner == key and self._is_recent(row, round_)]
        if not own or self.values is None or np.count_nonzero(mark) < _FEWEST:
            return False
        with np.errstate(over="ignore", invalid="ignore"):
            earlier, now = self.values[own].astype(np.float64), mark.astype(np.float64)
            length, lengths = np.linalg.norm(now), np.linalg.norm(earlier, axis=1)
            products = lengths * length
            cosine = np.divide(earlier @ now, products, out=np.zeros(len(own)), where=products > 0)
            noise = np.divide(rounding, np.minimum(lengths, length), out=np.zeros(len(own)), where=products > 0)
            return bool((1.0 - cosine < np.clip(noise**2, _EXACT, _APART)).any())

    def _is_recent(self, row: int, round_: int) -> bool:
        return round_ - REMEMBERED < self.rounds[row] < round_
