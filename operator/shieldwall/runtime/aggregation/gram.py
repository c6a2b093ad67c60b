"""Inner products of n vectors, the Gram matrix: all that rules, validation and contribution need to know of them."""

from __future__ import annotations

from functools import reduce
from typing import TYPE_CHECKING

import numpy as np

from shieldwall.runtime.aggregation.passes import in_segments, spans, width_for

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import DTypeLike, NDArray

    from shieldwall.runtime.model import Vector

    Matrix = NDArray[np.float64]


def inner_products(
    vectors: Sequence[Vector], *, minus: Vector | None = None, dtype: DTypeLike = np.float64, threads: int = 1
) -> Matrix:
    """Inner products of n ≥ 1 ``vectors``, (d,) each, less ``minus``: (n, n), symmetric to the last bit.

    Products are made in ``dtype``, block by block, and added up in float64; no vector is copied, so they may lie in
    files (``numpy.memmap``). Not finite where a product is beyond ``dtype``.
    """
    n = len(vectors)
    width = width_for(n)

    def work(part: slice) -> Matrix:
        total, product, scratch = np.zeros((n, n)), np.empty((n, n), dtype), np.empty((n, width), dtype)
        with np.errstate(over="ignore", invalid="ignore", under="ignore"):
            for span in spans(part, width):
                block = scratch[:, : span.stop - span.start]
                for row, vector in zip(block, vectors, strict=True):
                    if minus is None:
                        row[:] = vector[span]
                    else:
                        np.subtract(vector[span], minus[span], out=row, dtype=dtype)
                total += np.dot(block, block.T, out=product)
        return total

    with np.errstate(over="ignore", invalid="ignore"):
        return symmetric(reduce(np.add, in_segments(vectors[0].size, threads, work), np.zeros((n, n))))


def symmetric(matrix: Matrix) -> Matrix:
    """BLAS may make the two halves in different ways; equal scores must stay equal."""
    return (matrix + matrix.T) / 2.0


def cosines(gram: Matrix) -> Matrix:
    """Cosine of each pair, (n, n), within [-1, 1]; 0 where one of them is zero."""
    lengths = np.sqrt(np.clip(np.diag(gram), 0.0, None))
    scale = np.divide(1.0, lengths, out=np.zeros_like(lengths), where=lengths > 0)
    return np.clip(gram * scale[:, None] * scale[None, :], -1.0, 1.0)


def squared_distances(gram: Matrix) -> Matrix:
    """Squared L2 distance of each pair, (n, n), never negative, 0 on the diagonal; finite where ``gram`` is."""
    squares = np.diagonal(gram)
    with np.errstate(over="ignore", invalid="ignore"):
        distances: Matrix = np.maximum(squares[:, None] + squares - 2.0 * gram, 0.0)
    np.fill_diagonal(distances, 0.0)
    return distances
