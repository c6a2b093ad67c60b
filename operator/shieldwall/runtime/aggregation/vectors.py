"""Lengths, angles and weighted sums of long vectors, accumulated in float64, with no copy of a whole vector."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import numpy as np

from shieldwall.runtime.aggregation.passes import WIDEST, each, gather, in_segments, spans, width_for

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from shieldwall.runtime.model import Vector

BLOCK: Final = WIDEST

_SAFE: Final = {"f": (1e-25, 1e37), "d": (1e-290, 1e300)}
"""Between these a sum of squares has neither overflowed nor lost its large terms to underflow, by dtype."""


def blocks(size: int) -> Iterator[slice]:
    """The blocks of a vector of ``size`` coordinates."""
    return spans(slice(0, size), BLOCK)


def safe(square: float, dtype: np.dtype[np.floating]) -> bool:
    """Whether a sum of squares that was made of products in ``dtype`` can be trusted."""
    low, high = _SAFE[dtype.char]
    return low < square < high


def is_finite(vector: Vector) -> bool:
    """Whether every value is finite; reads the vector once and holds nothing of its size."""
    with np.errstate(over="ignore", invalid="ignore"):
        return all(
            math.isfinite(float(np.dot(vector[span], vector[span]))) or bool(np.isfinite(vector[span]).all())
            for span in blocks(vector.size)
        )


def norm(vector: Vector, minus: Vector | None = None) -> float:
    """L2 norm of ``vector``, or of ``vector − minus``.

    Right for any finite float32 or float64: where squares could overflow or vanish, entries are divided by the largest
    first. Infinite only when the norm itself (or a difference) is beyond float64.
    """
    square = 0.0
    with np.errstate(over="ignore", invalid="ignore"):
        for span in blocks(vector.size):
            block = vector[span] if minus is None else vector[span] - minus[span]
            square += float(np.dot(block, block))
    return math.sqrt(square) if safe(square, vector.dtype) else _careful_norm(vector, minus)


def norms(vectors: Sequence[Vector], threads: int = 1) -> NDArray[np.float64]:
    """L2 norms of n vectors: (n,)."""
    return np.array(each(norm, vectors, threads))


def _careful_norm(vector: Vector, minus: Vector | None) -> float:
    largest = max((float(np.abs(block).max()) for block in _differences(vector, minus)), default=0.0)
    if largest == 0.0 or not math.isfinite(largest):
        return largest
    scaled = (block / largest for block in _differences(vector, minus))
    return largest * math.sqrt(sum(float(np.dot(block, block)) for block in scaled))


def _differences(vector: Vector, minus: Vector | None) -> Iterator[NDArray[np.float64]]:
    for span in blocks(vector.size):
        block = vector[span].astype(np.float64)
        if minus is not None:
            with np.errstate(over="ignore"):
                block -= minus[span]
        yield block


def cosine(one: Vector, other: Vector, one_norm: float, other_norm: float) -> float | None:
    """Cosine of two vectors with these norms, in [-1, 1]; None when one of them has no direction."""
    if not (0.0 < one_norm < math.inf and 0.0 < other_norm < math.inf):
        return None
    if safe(one_norm * one_norm, one.dtype) and safe(other_norm * other_norm, other.dtype):
        total = sum(float(np.dot(one[span], other[span])) for span in blocks(one.size)) / one_norm / other_norm
    else:
        total = sum(
            float(np.dot(one[span].astype(np.float64) / one_norm, other[span].astype(np.float64) / other_norm))
            for span in blocks(one.size)
        )
    return min(1.0, max(-1.0, total))


def combine(vectors: Sequence[Vector], weights: NDArray[np.float64], threads: int = 1) -> Vector:
    """``Σ weights[i]·vectors[i]``, shape (d,), in the vectors' dtype; vectors of weight 0 are not read."""
    used = [vector for vector, weight in zip(vectors, weights, strict=True) if weight != 0.0]
    factors = weights[weights != 0.0]
    out = np.zeros_like(vectors[0]) if not used else np.empty_like(vectors[0])
    width = width_for(2 * len(used))

    def work(part: slice) -> None:
        scratch = np.empty((len(used), width))
        for span in spans(part, width):
            out[span] = factors @ gather(used, span, scratch)

    if len(used) == 1 and factors[0] == 1.0:
        out[:] = used[0]
    elif used:
        in_segments(out.size, threads, work)
    return out
