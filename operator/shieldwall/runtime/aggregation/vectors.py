"""Lengths, angles and weighted sums of long vectors, accumulated in float64, with no copy of a whole vector."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import numpy as np

from shieldwall.runtime.aggregation.passes import WIDEST, gather, in_segments, spans, width_for

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from shieldwall.runtime.model import Vector

BLOCK: Final = WIDEST

_FEW: Final = 32
"""Vectors that are added up in their own dtype: rounding that is no more than the result's own."""
_SUMMED: Final = 131_200
"""Coordinates of a sum in the making: it stays in the cache, and long runs of each vector are read."""
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
    """Whether every value is finite; holds nothing of the vector's size."""
    return all(bool(np.isfinite(vector[span]).all()) for span in blocks(vector.size))


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
    if len(used) == 1 and factors[0] == 1.0:
        out[:] = used[0]
    elif used:
        # In their own dtype only what it holds to its full precision is multiplied.
        normal = bool((np.abs(factors) > np.finfo(out.dtype).tiny).all())
        add = _add_in_place if normal else _add_in_float64
        in_segments(out.size, threads, lambda part: add(used, factors, part, out))
    return out


def _add_in_float64(vectors: Sequence[Vector], factors: NDArray[np.float64], part: slice, out: Vector) -> None:
    width = width_for(2 * len(vectors))
    scratch = np.empty((len(vectors), width))
    for span in spans(part, width):
        out[span] = factors @ gather(vectors, span, scratch)


def _add_in_place(vectors: Sequence[Vector], factors: NDArray[np.float64], part: slice, out: Vector) -> None:
    """Without a copy of any vector: a few at a time in their dtype, these sums in float64."""
    equal, several = bool((factors == factors[0]).all()), len(vectors) > _FEW
    weights = [None] * len(vectors) if equal else list(factors.astype(out.dtype))
    width = min(_SUMMED // 2 if several else _SUMMED, part.stop - part.start)
    of_few, scratch = np.empty(width, out.dtype), np.empty(width, out.dtype)
    total = np.empty(width) if several else of_few
    for span in spans(part, width):
        size = span.stop - span.start
        sums = total[:size]
        with np.errstate(over="ignore", invalid="ignore"):
            for start in range(0, len(vectors), _FEW):
                few = slice(start, start + _FEW)
                _add_few(vectors[few], weights[few], span, of_few[:size], scratch[:size])
                if several:
                    np.add(sums if start else 0.0, of_few[:size], out=sums)
            whole = math.isfinite(float(np.dot(sums, sums)))
        if whole:
            np.multiply(sums, factors[0] if equal else 1.0, out=out[span], casting="same_kind")
        else:  # the sum of a few may be beyond the dtype where their mean is not
            _add_in_float64(vectors, factors, span, out)


def _add_few(
    vectors: Sequence[Vector],
    weights: Sequence[np.floating | None],
    span: slice,
    out: NDArray[np.floating],
    scratch: NDArray[np.floating],
) -> None:
    for position, (vector, weight) in enumerate(zip(vectors, weights, strict=True)):
        values = vector[span] if weight is None else np.multiply(vector[span], weight, out=scratch)
        if position:
            out += values
        else:
            out[:] = values
