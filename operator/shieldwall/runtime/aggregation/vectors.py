"""Sums over long vectors: block by block, accumulated in float64, with no copy of a whole vector."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from shieldwall.runtime.model import Vector

BLOCK: Final = 4100
"""Coordinates of a block: n rows of it stay in the cache. Not a power of two, for those alias in the cache."""


def spans(size: int) -> Iterator[slice]:
    """The blocks of a vector of ``size`` coordinates."""
    return (slice(start, min(start + BLOCK, size)) for start in range(0, size, BLOCK))


def norm(vector: Vector, minus: Vector | None = None) -> float:
    """L2 norm of ``vector``, or of ``vector − minus``.

    Divided by the largest entry before it is squared, so it is right for any finite float32 or float64; infinite only
    when the norm itself (or a difference) is beyond float64.
    """
    largest = max((float(np.abs(block).max()) for block in _differences(vector, minus)), default=0.0)
    if largest == 0.0 or not math.isfinite(largest):
        return largest
    scaled = (block / largest for block in _differences(vector, minus))
    return largest * math.sqrt(sum(float(np.dot(block, block)) for block in scaled))


def _differences(vector: Vector, minus: Vector | None) -> Iterator[NDArray[np.float64]]:
    for span in spans(vector.size):
        block = vector[span].astype(np.float64)
        if minus is not None:
            with np.errstate(over="ignore"):
                block -= minus[span]
        yield block


def cosine(one: Vector, other: Vector, one_norm: float, other_norm: float) -> float | None:
    """Cosine of two vectors with these norms, in [-1, 1]; None when one of them has no direction."""
    if not (0.0 < one_norm < math.inf and 0.0 < other_norm < math.inf):
        return None
    total = sum(
        float(np.dot(one[span].astype(np.float64) / one_norm, other[span].astype(np.float64) / other_norm))
        for span in spans(one.size)
    )
    return min(1.0, max(-1.0, total))


def combine(rows: Sequence[Vector], weights: Sequence[float]) -> Vector:
    """``Σ weights[i]·rows[i]``, shape (d,), in the rows' dtype; rows of weight 0 are not read."""
    out = np.empty_like(rows[0])
    used = [(row, weight) for row, weight in zip(rows, weights, strict=True) if weight != 0.0]
    for span in spans(out.size):
        total = np.zeros(span.stop - span.start)
        for row, weight in used:
            total += row[span] * np.float64(weight)
        out[span] = total
    return out
