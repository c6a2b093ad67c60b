"""The inner products of a round: all that contribution and validation need to know of the updates."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from shieldwall.runtime.model import Vector


BLOCK: Final = 4100
"""Coordinates of a block. Not a power of two, for those alias in the cache."""


def inner_products(rows: Sequence[Vector]) -> NDArray[np.float64]:
    """The Gram matrix of m vectors of shape (d,): (m, m), symmetric, accumulated in float64.

    Goes over the vectors block by block and copies none of them, so they may lie in files (``numpy.memmap``). Products
    beyond float64 are infinite or NaN, which callers take for no evidence.
    """
    total = np.zeros((len(rows), len(rows)))
    scratch = np.empty((len(rows), BLOCK))
    for start in range(0, rows[0].size if rows else 0, BLOCK):
        parts = [row[start : start + BLOCK] for row in rows]
        block = scratch[:, : parts[0].size]
        for position, part in enumerate(parts):
            block[position] = part
        with np.errstate(over="ignore", invalid="ignore"):
            total += block @ block.T
    return total


def cosines(gram: NDArray[np.float64]) -> NDArray[np.float64]:
    """Cosine of each pair, (m, m), within [-1, 1]; 0 where one of them is zero."""
    lengths = np.sqrt(np.clip(np.diag(gram), 0.0, None))
    scale = np.divide(1.0, lengths, out=np.zeros_like(lengths), where=lengths > 0)
    return np.clip(gram * scale[:, None] * scale[None, :], -1.0, 1.0)


def squared_distances(gram: NDArray[np.float64]) -> NDArray[np.float64]:
    """Squared L2 distance of each pair, (m, m), not negative."""
    own = np.diag(gram)
    return np.clip(own[:, None] + own[None, :] - 2.0 * gram, 0.0, None)
