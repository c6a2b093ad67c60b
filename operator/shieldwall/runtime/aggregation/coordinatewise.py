"""Rules that look at each coordinate alone."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np

from shieldwall.runtime.aggregation.vectors import BLOCK, spans

if TYPE_CHECKING:
    from collections.abc import Sequence

    from shieldwall.runtime.aggregation.updates import Updates
    from shieldwall.runtime.model import Vector


def fed_median(updates: Updates, scales: Sequence[float]) -> Vector:
    """The median of each coordinate, between the middle two when n is even: (n, d) → (d,).

    For n > 2f it lies within the range of the honest values, whatever the f liars send.
    Source: Yin et al. 2018 (arXiv:1803.01498), Definition 1.
    """
    return _mean_without_ends(updates, scales, (len(updates) - 1) // 2)


def fed_trimmed_avg(updates: Updates, scales: Sequence[float], cut: int) -> Vector:
    """The mean of each coordinate without its ``cut`` lowest and ``cut`` highest values: (n, d) → (d,).

    For n > 2·cut and cut ≥ f it lies within the range of the honest values, whatever the f liars send.
    Source: Yin et al. 2018 (arXiv:1803.01498), Definition 2.
    """
    return _mean_without_ends(updates, scales, cut)


def trim(n: int, f: int, beta: float | None) -> int:
    """How many values are cut at each end: the larger of f and ⌊beta·n⌋, with beta as it is written in decimal.

    In binary 0.29·100 is below 29; the cut must not depend on that.
    """
    return max(f, math.floor(Fraction(repr(beta or 0.0)) * n))


def _mean_without_ends(updates: Updates, scales: Sequence[float], cut: int) -> Vector:
    """Sort each coordinate's n values and average those between the ends.

    Works on transposed blocks, for sorting short contiguous rows is several times faster than a partition down
    columns. The mean is held between the lowest and highest value kept, which rounding could leave.
    """
    n = len(updates)
    out = np.empty_like(updates.vectors[0])
    scratch = np.empty((BLOCK, n), out.dtype)
    for span in spans(out.size):
        block = scratch[: span.stop - span.start]
        for column, (row, scale) in enumerate(zip(updates.vectors, scales, strict=True)):
            np.multiply(row[span], scale, out=block[:, column])
        block.sort(axis=1)
        kept = block[:, cut : n - cut]
        with np.errstate(over="ignore"):
            mean = kept.mean(axis=1, dtype=np.float64)
        np.clip(mean, kept[:, 0], kept[:, -1], out=out[span], casting="same_kind")
    return out
