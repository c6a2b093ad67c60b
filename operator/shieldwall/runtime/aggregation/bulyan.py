"""Bulyan's first step; the second is ``coordinatewise.mean_around_median``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from shieldwall.runtime.aggregation.krum import krum_scores

if TYPE_CHECKING:
    from numpy.typing import NDArray


def bulyan_choice(squared_distances: NDArray[np.float64], f: int) -> tuple[int, ...]:
    """Positions, ascending, of θ = n − 2f updates: Krum's choice, again and again among those that are left.

    For n ≥ 4f+3 more than half of each coordinate's θ values are honest, and the mean of the θ − 2f nearest to their
    median is off by O(σ/√d), whatever the f liars send. When few are left Krum's n' − f − 2 neighbours run out; at
    least one counts, as in Flower. Source: El Mhamdi et al. 2018 (arXiv:1802.07927), section 4.
    """
    left = list(range(len(squared_distances)))
    chosen = []
    for _ in range(len(left) - 2 * f):
        scores = krum_scores(squared_distances[np.ix_(left, left)], max(1, len(left) - f - 2))
        chosen.append(left.pop(int(np.argmin(scores))))
    return tuple(sorted(chosen))
