"""Where the updates of a round lie to each other: one pass, and all that selection rules need to know.

Inner products of n updates are the Gram matrix, n×n; distances, neighbours, mixtures of updates and their distances
follow from it without looking at a coordinate again.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from shieldwall.runtime.aggregation.gram import inner_products, squared_distances, symmetric
from shieldwall.runtime.aggregation.vectors import safe

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from shieldwall.runtime.model import Vector

    Matrix = NDArray[np.float64]

_ROUNDING: Final = {"f": 1e-6, "d": 1e-14}
"""Error of an inner product in parts of the two norms' product, by dtype, with much to spare."""
_TOLERANCE: Final = 1e-3
"""How much of the distance to the nearer half may be rounding."""
BEYOND: Final = 1e290
"""Stands for squared distances that float64 cannot hold: sums of n² of them are still numbers."""


@dataclass(frozen=True, slots=True, eq=False)
class Geometry:
    """Lengths and distances of n updates."""

    squared_norms: Matrix
    """(n,)."""
    squared_distances: Matrix
    """(n, n), symmetric, zero on the diagonal, finite."""

    def scaled(self, scales: Matrix) -> Geometry:
        """Of the updates multiplied by ``scales``, (n,).

        ‖s·a − t·b‖² = s·t·‖a − b‖² + (s − t)·(s·‖a‖² − t·‖b‖²), which loses no digits when a and b are close.
        """
        if (scales == 1.0).all():
            return self
        lengths = scales * self.squared_norms
        apart = (scales[:, None] - scales) * (lengths[:, None] - lengths)
        return Geometry(scales * lengths, np.maximum(np.outer(scales, scales) * self.squared_distances + apart, 0.0))

    def mixed(self, mixture: Matrix) -> Geometry:
        """Of averages of the updates: ``mixture`` is (k, n), its rows add up to 1."""
        n = len(self.squared_norms)
        # The model itself is the update 0: lengths are distances from it.
        around = np.zeros((n + 1, n + 1))
        around[:n, :n] = self.squared_distances
        around[n, :n] = around[:n, n] = self.squared_norms
        rows = np.zeros((len(mixture) + 1, n + 1))
        rows[:-1, :n] = mixture
        rows[-1, n] = 1.0
        # Σ aᵢbⱼ‖uᵢ − uⱼ‖² less half of that within each: exact for rows that add up to 1.
        across = symmetric(rows @ around @ rows.T)
        own = np.diagonal(across) / 2.0
        apart = np.maximum(across - own[:, None] - own, 0.0)
        np.fill_diagonal(apart, 0.0)
        return Geometry(apart[-1, :-1].copy(), apart[:-1, :-1].copy())


def geometry_of(vectors: Sequence[Vector], threads: int = 1, gram: Matrix | None = None) -> Geometry:
    """Geometry of n vectors, (d,) each, one dtype, finite; from their ``gram``, (n, n) in float64, where it is known.

    Products are made in the vectors' dtype, block by block, and added up in float64. That is enough when updates are
    told apart by more than rounding, which is checked. Otherwise (nearly equal updates, values beyond the dtype's
    squares) a second pass does all in float64, about the update that lies nearest to half of the others.
    """
    dtype = vectors[0].dtype if gram is None else np.dtype(np.float64)
    if gram is None:
        gram = inner_products(vectors, dtype=dtype, threads=threads)
    rough = _distances(gram)
    if _is_resolved(rough, gram, dtype):
        return Geometry(np.diagonal(gram).copy(), rough)
    middle = np.sort(rough, axis=1)[:, len(rough) // 2]
    nearest = int(np.lexsort((np.nan_to_num(np.diagonal(gram), nan=np.inf), middle))[0])
    about = inner_products(vectors, minus=vectors[nearest], threads=threads)
    plain = np.diagonal(inner_products(vectors, threads=threads))
    return Geometry(np.nan_to_num(plain, posinf=BEYOND), _distances(about))


def _distances(gram: Matrix) -> Matrix:
    return np.nan_to_num(squared_distances(gram), copy=False, nan=BEYOND, posinf=BEYOND)


def _is_resolved(distances: Matrix, gram: Matrix, dtype: np.dtype[np.floating]) -> bool:
    """Whether rounding is small against the distance of each update to the nearer half of the others.

    Only there, for a minority that sends copies of one update must not decide how much work a round is.
    """
    n = len(distances)
    if n == 1:
        return safe(float(gram[0, 0]), dtype)
    ordered = np.sort(distances, axis=1)
    middle = ordered[:, n // 2]
    if not all(safe(float(square), dtype) for square in middle):
        return False
    lengths = np.sqrt(np.diagonal(gram))
    rounding = _ROUNDING[dtype.char] * np.outer(lengths, lengths)
    near = distances <= middle[:, None]
    return bool((np.where(near, rounding, 0.0) <= _TOLERANCE * middle[:, None]).all())
