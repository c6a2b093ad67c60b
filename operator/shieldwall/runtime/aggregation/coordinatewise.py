"""Rules that look at each coordinate alone."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from shieldwall.runtime.aggregation.network import network
from shieldwall.runtime.aggregation.passes import gather, in_segments, spans, width_for

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from shieldwall.runtime.model import Vector

    Row = NDArray[np.floating]
    Places = Sequence[Row] | NDArray[np.floating]
    """Rows of shape (w,): the same place of each of w coordinates' sorted values, in ascending order."""
    Reduce = Callable[[Places], Row]

NETWORK_ROWS: Final = 20
"""Up to so many rows a sorting network over whole rows is faster than sorting each coordinate's values."""
_SORTED: Final = 1025
"""Coordinates that are sorted at once: all their values stay in the cache."""


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """What a coordinate-wise rule works on: updates, or averages of them that are made block by block."""

    vectors: Sequence[Vector]
    """n of shape (d,)."""
    scales: NDArray[np.float64] | None = None
    """(n,): what each is multiplied by first."""
    mixture: NDArray[np.float64] | None = None
    """(k, n): row i is what the i-th average is made of. None for the updates themselves."""

    def __len__(self) -> int:
        """How many values each coordinate has."""
        return len(self.vectors) if self.mixture is None else len(self.mixture)


def median(rows: Rows, threads: int = 1) -> Vector:
    """The median of each coordinate, between the middle two when n is even: (n, d) → (d,).

    For n > 2f it lies within the range of the honest values, whatever the f liars send.
    Source: Yin et al. 2018 (arXiv:1803.01498), Definition 1.
    """
    return trimmed_mean(rows, (len(rows) - 1) // 2, threads)


def trimmed_mean(rows: Rows, cut: int, threads: int = 1) -> Vector:
    """The mean of each coordinate without its ``cut`` lowest and ``cut`` highest values: (n, d) → (d,).

    For n > 2·cut and cut ≥ f it lies within the range of the honest values, whatever the f liars send.
    Source: Yin et al. 2018 (arXiv:1803.01498), Definition 2.
    """
    return _over_sorted(rows, cut, len(rows) - cut, _mean, threads)


def mean_around_median(rows: Rows, count: int, threads: int = 1) -> Vector:
    """The mean of each coordinate's ``count`` values that are nearest to its median: (n, d) → (d,).

    Of values equally near the lower ones are taken. Bulyan's second step: on its θ choices, with count = θ − 2f.
    Source: El Mhamdi et al. 2018 (arXiv:1802.07927), section 4.
    """
    return _over_sorted(rows, 0, len(rows), lambda ordered: _mean_of_nearest(ordered, count), threads)


def _over_sorted(rows: Rows, first: int, last: int, reduce: Reduce, threads: int) -> Vector:
    """``reduce`` on places first … last − 1 of each coordinate's sorted values, as rows in ascending order."""
    out = np.empty_like(rows.vectors[0])
    sort = _by_network if len(rows) <= NETWORK_ROWS else _by_sorting
    in_segments(out.size, threads, lambda part: sort(rows, part, slice(first, last), reduce, out))
    return out


def _by_network(rows: Rows, part: slice, kept: slice, reduce: Reduce, out: Vector) -> None:
    """Comparators on whole rows, which are read where they lie unless they must be scaled or mixed first."""
    n, k = len(rows.vectors), len(rows)
    plan = network(k, kept.start, kept.stop)
    width = width_for(n + plan.scratch)
    scratch = np.empty((plan.scratch, width), out.dtype)
    as_they_are = rows.scales is None and rows.mixture is None
    block, mixed = (np.empty((0 if as_they_are else size, width), out.dtype) for size in (n, k))
    mixture = None if rows.mixture is None else rows.mixture.astype(out.dtype)
    for span in spans(part, width):
        size = span.stop - span.start
        if as_they_are:
            values: Places = [vector[span] for vector in rows.vectors]
        else:
            values = gather(rows.vectors, span, block, rows.scales)
            if mixture is not None:
                values = np.matmul(mixture, values, out=mixed[:, :size])
        out[span] = reduce(plan.run(values, scratch[:, :size]))


def _by_sorting(rows: Rows, part: slice, kept: slice, reduce: Reduce, out: Vector) -> None:
    """Transpose small blocks, for sorting short contiguous rows is several times faster than sorting down columns."""
    n, k = len(rows.vectors), len(rows)
    width = width_for(n)
    scratch, across = np.empty((n, width), out.dtype), np.empty((_SORTED, k), out.dtype)
    mixture = None if rows.mixture is None else np.ascontiguousarray(rows.mixture.T, out.dtype)
    for span in spans(part, width):
        block = gather(rows.vectors, span, scratch, rows.scales)
        for narrow in spans(slice(0, block.shape[1]), _SORTED):
            values = across[: narrow.stop - narrow.start]
            if mixture is None:
                values[:] = block[:, narrow].T
            else:
                np.matmul(block[:, narrow].T, mixture, out=values)
            values.sort(axis=1)
            out[span][narrow] = reduce(values[:, kept].T)


def _mean(ordered: Places) -> Row:
    """The mean of the rows, (w,), within the range from the lowest to the highest, which rounding could leave.

    A few are added up in their own dtype: that is rounding of the result's own size. Many are in float64.
    """
    if len(ordered) == 1:
        return ordered[0]
    total = _sum_of_few(ordered) if len(ordered) <= NETWORK_ROWS else None
    if total is None:
        with np.errstate(over="ignore"):
            total = np.ones(len(ordered)) @ np.asarray(ordered).astype(np.float64)
    total /= len(ordered)
    return np.clip(total, ordered[0], ordered[-1], out=total)


def _sum_of_few(ordered: Places) -> Row | None:
    """None when it is beyond the dtype, or nearly: the mean is not."""
    with np.errstate(over="ignore", invalid="ignore"):
        total = ordered[0] + ordered[1]
        for row in ordered[2:]:
            total += row
        return total if math.isfinite(float(np.dot(total, total))) else None


def _mean_of_nearest(ordered: Places, count: int) -> Row:
    """The ``count`` values that are nearest to the median stand next to each other.

    They begin at the lowest or further up: past every place whose value is further from the median than the one
    ``count`` places above it. So of the places that lie ``count`` apart exactly one is taken.
    """
    middle = _mean(ordered[(len(ordered) - 1) // 2 : len(ordered) // 2 + 1]).astype(ordered[0].dtype)
    total = np.zeros(middle.shape)
    with np.errstate(over="ignore"):
        for lowest in range(count):
            taken = ordered[lowest].copy()
            for place in range(lowest, len(ordered) - count, count):
                above = ordered[place + count]
                np.copyto(taken, above, where=middle - ordered[place] > above - middle)
            total += taken
        total /= count
    return total
