"""A round's updates as the rule is to see them: mixed by the pre-aggregation, clipped to the policy's norm.

Nothing here is as long as an update: mixing and clipping are numbers that the rule's own pass multiplies by.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from shieldwall.contract.policy import PreAggregation, Rule
from shieldwall.contract.theorem import BUCKET_SIZE
from shieldwall.runtime.aggregation.coordinatewise import Rows
from shieldwall.runtime.aggregation.geometry import Geometry, geometry_of
from shieldwall.runtime.aggregation.mixing import bucketing, nearest_neighbor_mixing
from shieldwall.runtime.aggregation.vectors import combine

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from shieldwall.contract.policy import AggregationPolicy
    from shieldwall.runtime.aggregation.updates import Updates
    from shieldwall.runtime.model import Vector

    Matrix = NDArray[np.float64]

MEASURES: Final = frozenset({Rule.KRUM, Rule.MULTI_KRUM, Rule.BULYAN, Rule.GEOMETRIC_MEDIAN, Rule.CENTERED_CLIPPING})
"""Rules that need the updates' geometry."""


@dataclass(frozen=True, slots=True, eq=False)
class Prepared:
    """n updates, of which the rule sees k averages, or each as it is."""

    vectors: tuple[Vector, ...]
    num_examples: tuple[int, ...]
    lengths: Matrix
    """L2 norms of the raw updates, (n,)."""
    geometry: Geometry | None
    """Of the raw updates; None when neither the rule nor the pre-aggregation asks."""
    mixture: Matrix | None
    """(k, n), rows that add up to 1; None when each update stands for itself."""
    scales: Matrix
    """(n,), at most 1: what an update is multiplied by before it is averaged."""
    threads: int

    @classmethod
    def of(
        cls, updates: Updates, policy: AggregationPolicy, seed: int, threads: int, gram: Matrix | None = None
    ) -> Prepared:
        """By the policy; ``seed`` draws the buckets of Bucketing, ``gram`` are the inner products where known."""
        vectors, n = updates.vectors, len(updates)
        nearest = policy.pre_aggregation is PreAggregation.NEAREST_NEIGHBOR_MIXING
        geometry = geometry_of(vectors, threads, gram) if nearest or policy.rule in MEASURES else None
        mixture = None
        if policy.pre_aggregation is PreAggregation.BUCKETING:
            mixture = bucketing(n, policy.bucket_size or BUCKET_SIZE, np.random.default_rng(seed))
        elif nearest and geometry is not None:
            mixture = nearest_neighbor_mixing(geometry.squared_distances, policy.byzantine)
        lengths, scales = np.array(updates.norms), np.ones(n)
        if policy.max_norm is not None and policy.rule is not Rule.CENTERED_CLIPPING:
            scales = within(lengths, policy.max_norm)
        return cls(vectors, updates.num_examples, lengths, geometry, mixture, scales, threads)

    def __len__(self) -> int:
        """K, how many the rule sees."""
        return len(self.vectors) if self.mixture is None else len(self.mixture)

    @property
    def _measured(self) -> Geometry:
        if self.geometry is None:
            raise ValueError("nobody asked for the geometry of these updates")
        return self.geometry

    def seen(self, scales: Matrix | None = None) -> Geometry:
        """Geometry of what the rule sees, of updates multiplied by ``scales``, (n,); raw when not said."""
        scaled = self._measured if scales is None else self._measured.scaled(scales)
        return scaled if self.mixture is None else scaled.mixed(self.mixture)

    def rows(self, positions: Sequence[int] | None = None) -> Rows:
        """What a coordinate-wise rule works on: all k, or those at ``positions``."""
        if self.mixture is not None:
            mixture = self.mixture if positions is None else self.mixture[list(positions)]
            return Rows(self.vectors, None, mixture * self.scales)
        chosen = range(len(self.vectors)) if positions is None else positions
        scales = self.scales[list(chosen)]
        return Rows([self.vectors[position] for position in chosen], None if (scales == 1.0).all() else scales, None)

    def shares(self, weights: Matrix) -> Matrix:
        """How much of each update is in ``Σ weights[i]·(i-th that the rule sees)``: (k,) → (n,), before clipping."""
        return weights if self.mixture is None else weights @ self.mixture

    def average(self, weights: Matrix, scales: Matrix | None = None) -> Vector:
        """``Σ weights[i]·(i-th that the rule sees)``, (k,) → (d,), clipped, or scaled by ``scales``, (n,)."""
        return combine(self.vectors, self.shares(weights) * (self.scales if scales is None else scales), self.threads)

    @property
    def clipped(self) -> tuple[int, ...]:
        """Positions of the updates that were scaled down, ascending."""
        return tuple(int(position) for position in np.flatnonzero(self.scales < 1.0))


def within(lengths: Matrix, bound: float) -> Matrix:
    """What to multiply vectors of these norms by so that no norm is above ``bound``: (n,) → (n,), at most 1."""
    return np.divide(bound, lengths, out=np.ones_like(lengths), where=lengths > bound)
