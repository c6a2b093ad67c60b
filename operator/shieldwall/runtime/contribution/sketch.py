"""A long vector as few numbers from which cosines can be read, and which nobody outside can foresee.

Every coordinate is added, with a secret sign, to one of m numbers (a count sketch: Charikar et al. 2002; Weinberger
et al. 2009, arXiv:0902.2206). Inner products keep their expected value, with a deviation of about √(2/m) of the
lengths' product, whichever few coordinates of a model move: those that stay as they are take no part. Sketches are
linear, so what a sum of vectors spans, the sum of their sketches does.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce
from typing import TYPE_CHECKING, Final

import numpy as np

from shieldwall.runtime.aggregation.passes import SEGMENTS, each

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from shieldwall.runtime.model import Vector

WIDTH: Final = 1021
"""m; a prime, so that a row or column of a layer does not fall on few of the numbers."""
SEED_BYTES: Final = 16
_ROWS: Final = 128
"""Times m coordinates are read at once."""


@dataclass(frozen=True, slots=True, eq=False)
class Sketches:
    """Of n vectors of d coordinates."""

    values: NDArray[np.float64]
    """(n, min(m, d)); not finite where a vector is too large."""
    moving: NDArray[np.int64]
    """(n,), how many coordinates of each are not zero."""


def width_of(size: int) -> int:
    """How many numbers stand for a vector of ``size`` coordinates."""
    return min(WIDTH, size)


def sketches(vectors: Sequence[Vector], seed: bytes, threads: int = 1) -> Sketches:
    """The sketches of n ≥ 1 ``vectors``, (d,) each, with the signs that ``seed`` draws; no vector is copied.

    Takes the memory of a few blocks for each thread. The number of threads changes no bit of the result.
    """
    size, width = vectors[0].size, width_of(vectors[0].size)
    chunk = width * _ROWS
    starts = range(0, size, chunk)
    parts = [starts[len(starts) * k // SEGMENTS : len(starts) * (k + 1) // SEGMENTS] for k in range(SEGMENTS)]

    def work(part: range) -> Sketches:
        total = Sketches(np.zeros((len(vectors), width)), np.zeros(len(vectors), np.int64))
        with np.errstate(over="ignore", invalid="ignore"):
            for start in part:
                _add(total, vectors, slice(start, min(start + chunk, size)), _signs(seed, start, chunk))
        return total

    def together(one: Sketches, other: Sketches) -> Sketches:
        return Sketches(one.values + other.values, one.moving + other.moving)

    with np.errstate(over="ignore", invalid="ignore"):
        return reduce(together, each(work, [part for part in parts if part], threads))


def _signs(seed: bytes, start: int, count: int) -> NDArray[np.float32]:
    """The signs, ±1, of ``count`` coordinates from ``start`` on."""
    random = np.random.default_rng([int.from_bytes(seed, "big"), start])
    bits = np.unpackbits(np.frombuffer(random.bytes(-(-count // 8)), np.uint8))[:count]
    return np.float32(2) * bits.astype(np.float32) - np.float32(1)


def _add(total: Sketches, vectors: Sequence[Vector], span: slice, signs: NDArray[np.float32]) -> None:
    """Add what lies in ``span``, which starts at a multiple of the width; the last row may be a short one."""
    width = total.values.shape[1]
    length = span.stop - span.start
    rows, rest = divmod(length, width)
    for position, vector in enumerate(vectors):
        block = vector[span]
        signed = block * signs[:length]
        total.values[position] += signed[: rows * width].reshape(rows, width).sum(axis=0)
        total.values[position, :rest] += signed[rows * width :]
        total.moving[position] += np.count_nonzero(block)
