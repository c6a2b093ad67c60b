"""What one round says for and against each of its updates, read from the inner products alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from shieldwall.contract.records import Flag
from shieldwall.runtime.aggregation.gram import cosines
from shieldwall.runtime.contribution.innovation import floor_of, innovation

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

SAME: Final = 0.9995
"""Cosine above which two vectors are the same thing sent twice."""
TINY: Final = 0.02
"""Of the median norm: less is nothing."""
_MUCH_NEARER: Final = 0.05
"""Near-duplicates lie this much nearer to each other than pairs of the round do in the median."""
_ROUNDING: Final = 1e-6
"""1 − cosine that the rounding of float32 models alone may make."""
_OPPOSED: Final = -5.0
_SPREAD: Final = 0.05
"""Robust deviations below this are taken for it: a round in which all agree has none to speak of."""
_NORMAL: Final = 1.4826
"""From a median absolute deviation to a standard deviation, for normal values."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """About one update in one round."""

    innovation: float | None
    """R² of what it says anew; None where the round has no power to tell."""
    likeness: float | None
    """Greatest cosine with another update of the round or an earlier global delta; None with neither."""
    agreement: float | None
    """Cosine with the sum of the others' directions; None for a zero update or a single one."""
    flags: tuple[Flag, ...]
    """What this round alone shows."""


@dataclass(frozen=True, slots=True)
class RoundEvidence:
    """About all updates of one round, in their order."""

    updates: tuple[Evidence, ...]
    floor: float | None
    """What R² must exceed to be more than chance."""


def weigh(  # noqa: PLR0913, PLR0917  # what one round is judged by, each used once
    gram: NDArray[np.float64],
    n: int,
    moving: int,
    repeats: Sequence[bool] | None = None,
    replays: Sequence[bool] | None = None,
    accomplices: int = 0,
) -> RoundEvidence:
    """Read the evidence.

    Args:
        gram: inner products of the n updates, then of K earlier global deltas (see ``inner_products``).
        n: how many updates there are.
        moving: how many coordinates the updates move: d, less those of frozen layers.
        repeats: which updates their sender has sent before.
        replays: which are made of what the global model did earlier, also before the K deltas.
        accomplices: so many others may vouch for an update without being believed: f − 1.

    Nothing is said, and nobody flagged, where a product is beyond float64.
    """
    if n == 0 or not np.isfinite(gram).all():
        return RoundEvidence((Evidence(None, None, None, ()),) * n, None)
    alike = cosines(gram)
    duplicates = near_duplicates(alike[:n, :n])
    floor = floor_of(n, len(gram) - n, moving)
    scores = innovation(gram, n, duplicates, accomplices) if floor is not None else None
    agreement = agreements(alike[:n, :n])
    opposed = _far_below(agreement)
    tiny = _tiny(np.sqrt(np.diag(gram)[:n]))
    nothing = [False] * n
    replayed = (alike[:n, n:].max(axis=1, initial=-1.0) > SAME) | np.array(nothing if replays is None else replays)
    repeated = np.array(nothing if repeats is None else repeats)
    shown = {
        Flag.TINY: tiny,
        Flag.COPY: duplicates.any(axis=1),
        Flag.REPLAY: replayed,
        Flag.REPEAT: repeated,
        Flag.OPPOSED: opposed,
    }
    likeness = _likeness(alike, n)
    return RoundEvidence(
        tuple(
            Evidence(
                None if scores is None else float(scores[i]),
                likeness[i],
                None if np.isnan(agreement[i]) else float(agreement[i]),
                tuple(flag for flag, found in shown.items() if found[i]),
            )
            for i in range(n)
        ),
        floor,
    )


def near_duplicates(alike: NDArray[np.float64], same: float = SAME) -> NDArray[np.bool_]:
    """Pairs of updates that are one update sent by two, from their cosines; (n, n), False on the diagonal.

    Where clients agree closely anyway (large shares of the same data, a simple model) a pair must also be much nearer
    than pairs usually are: agreement is no copy.
    """
    n = len(alike)
    if n < 2:  # noqa: PLR2004  # one update has no pair
        return np.zeros((n, n), bool)
    apart = 1.0 - alike
    usual = float(np.median(apart[np.triu_indices(n, 1)]))
    if usual < _ROUNDING:
        return np.zeros((n, n), bool)
    found: NDArray[np.bool_] = (apart < 1.0 - same) & (apart < _MUCH_NEARER * usual)
    np.fill_diagonal(found, val=False)
    return found


def agreements(alike: NDArray[np.float64]) -> NDArray[np.float64]:
    """Cosine of each update with the sum of the others' unit vectors: (n,); NaN where there is none.

    Unit vectors, so that one enormous update is not the others' voice.
    """
    together = alike.sum(axis=1) - np.diag(alike)
    others = alike.sum() - 2.0 * alike.sum(axis=1) + np.diag(alike)
    length = np.sqrt(np.clip(others, 0.0, None))
    usable = (length > 0) & (np.diag(alike) > 0)
    found: NDArray[np.float64] = np.divide(together, length, out=np.full(len(alike), np.nan), where=usable)
    return found


def _far_below(values: NDArray[np.float64]) -> NDArray[np.bool_]:
    known = values[~np.isnan(values)]
    if known.size == 0:
        return np.zeros(values.shape, bool)
    middle = np.median(known)
    deviation = max(_NORMAL * float(np.median(np.abs(known - middle))), _SPREAD)
    far: NDArray[np.bool_] = np.nan_to_num(values, nan=np.inf) < min(float(middle) + _OPPOSED * deviation, 0.0)
    return far


def _tiny(norms: NDArray[np.float64]) -> NDArray[np.bool_]:
    tiny: NDArray[np.bool_] = norms < TINY * np.median(norms)
    return tiny


def _likeness(alike: NDArray[np.float64], n: int) -> list[float | None]:
    rows = alike[:n].copy()
    rows[np.arange(n), np.arange(n)] = -np.inf
    return [None if len(alike) == 1 else float(row.max()) for row in rows]
