"""Free-riders: pure functions from what a client has seen so far to an answer it did not work for.

Sources: Lin et al. 2019 (arXiv:1911.12560) for replayed deltas and noise; Fraboni et al. 2021 (arXiv:2006.11901) for
disguised ones.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from shieldwall.local.attackers.kinds import AttackKind

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    Arrays = Mapping[str, NDArray[Any]]

DELAY: Final = 5
"""Rounds."""
DISGUISE: Final = 0.3
"""Noise added to something stale, as a share of its norm."""
_COMMON: Final = 0.3
"""Noise of a colluder's own, beside what all of them send: pairs have a cosine of about 0.92."""
_DRIFT: Final = 0.2


@dataclass(frozen=True, slots=True, eq=False)
class Seen:
    """What a free-rider remembers."""

    models: tuple[NDArray[np.float64], ...]
    """The models it was sent, oldest first, the newest last; (d,) each."""
    first: NDArray[np.float64] | None = None
    """The one update that it trained for."""

    def sent(self, model: NDArray[np.float64]) -> Seen:
        """With the model that it was sent now; a round that is tried again sends the same one."""
        if self.models and np.array_equal(self.models[-1], model):
            return self
        return Seen((*self.models[-DELAY:], model), self.first)

    def save(self, path: Path) -> None:
        """Keep it in a file."""
        with path.open("wb") as file:
            np.savez(file, models=np.stack(self.models), first=np.array([] if self.first is None else self.first))

    @classmethod
    def load(cls, path: Path) -> Seen:
        """What ``save`` kept; nothing when there is no file."""
        if not path.exists():
            return cls(())
        with path.open("rb") as file, np.load(file) as kept:
            return cls(tuple(kept["models"]), kept["first"] if kept["first"].size else None)

    def delta(self, back: int = 1) -> NDArray[np.float64] | None:
        """What the global model did ``back`` rounds ago, or in the first round it saw; None before it saw two."""
        back = min(back, len(self.models) - 1)
        return self.models[-back] - self.models[-back - 1] if back > 0 else None


def flat(arrays: Arrays) -> NDArray[np.float64]:
    """All values in one vector."""
    return np.concatenate([array.reshape(-1).astype(np.float64) for array in arrays.values()])


def shaped(vector: NDArray[np.float64], like: Arrays) -> dict[str, NDArray[Any]]:
    """Undo ``flat``."""
    ends = np.cumsum([array.size for array in like.values()])
    parts = np.split(vector, ends[:-1])
    return {
        name: part.reshape(array.shape).astype(array.dtype)
        for (name, array), part in zip(like.items(), parts, strict=True)
    }


def free_ride(
    kind: AttackKind, seen: Seen, train: Callable[[], NDArray[np.float64]], random: np.random.Generator
) -> tuple[NDArray[np.float64], Seen]:
    """The update that a free-rider sends, (d,), and what it remembers.

    ``train`` gives an honest update: some kinds work once, and most do in the first round, in which nothing is to be
    copied yet.
    """
    if kind is AttackKind.FREE_ZERO:
        return np.zeros_like(seen.models[-1]), seen
    if kind is AttackKind.SLOW_DRIFT:
        honest = train()
        return honest + _DRIFT * _like(_direction(honest.size, b"drift"), honest), seen
    if kind in {AttackKind.FREE_STALE, AttackKind.FREE_STALE_NOISE}:
        first = seen.first if seen.first is not None else train()
        again = kind is AttackKind.FREE_STALE_NOISE and seen.first is not None
        return first + (_noise(first, random, DISGUISE) if again else 0.0), Seen(seen.models, first)
    delta = seen.delta(DELAY if kind is AttackKind.FREE_DELAYED else 1)
    return (train() if delta is None else _COPIES[kind](seen, delta, random)), seen


def _scaled(_: Seen, delta: NDArray[np.float64], random: np.random.Generator) -> NDArray[np.float64]:
    return delta * random.uniform(0.5, 2.0)


def _made_up(_: Seen, delta: NDArray[np.float64], random: np.random.Generator) -> NDArray[np.float64]:
    return _noise(delta, random)


def _replay(_: Seen, delta: NDArray[np.float64], __: np.random.Generator) -> NDArray[np.float64]:
    return delta


def _disguised(_: Seen, delta: NDArray[np.float64], random: np.random.Generator) -> NDArray[np.float64]:
    return delta + _noise(delta, random, DISGUISE)


def _colluding(seen: Seen, delta: NDArray[np.float64], random: np.random.Generator) -> NDArray[np.float64]:
    """All colluders draw the same direction from the model that they were all sent."""
    common = _direction(delta.size, seen.models[-1].astype(np.float32).tobytes())
    return _like(_like(common, delta) + _noise(delta, random, _COMMON), delta)


_COPIES: Final = {
    AttackKind.FREE_SCALED: _scaled,
    AttackKind.FREE_NOISE: _made_up,
    AttackKind.FREE_REPLAY: _replay,
    AttackKind.FREE_REPLAY_NOISE: _disguised,
    AttackKind.FREE_DELAYED: _replay,
    AttackKind.FREE_COLLUDING: _colluding,
}
FREE_RIDERS: Final = frozenset(
    {*_COPIES, AttackKind.FREE_ZERO, AttackKind.FREE_STALE, AttackKind.FREE_STALE_NOISE, AttackKind.SLOW_DRIFT}
)
"""The kinds that ``free_ride`` knows."""


def _noise(like: NDArray[np.float64], random: np.random.Generator, share: float = 1.0) -> NDArray[np.float64]:
    return share * _like(random.normal(size=like.size), like)


def _like(vector: NDArray[np.float64], other: NDArray[np.float64]) -> NDArray[np.float64]:
    """``vector`` with the norm of ``other``."""
    return vector * (np.linalg.norm(other) / max(float(np.linalg.norm(vector)), 1e-300))


def _direction(size: int, seed: bytes) -> NDArray[np.float64]:
    digest = hashlib.sha256(seed).digest()
    return np.random.default_rng(int.from_bytes(digest[:16], "big")).normal(size=size)
