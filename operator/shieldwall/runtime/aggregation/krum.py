"""Rules that pick the updates with the nearest neighbours."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Matrix = NDArray[np.float64]


def krum_choice(squared_distances: Matrix, f: int, m: int) -> tuple[int, ...]:
    """Positions, ascending, of the ``m`` updates with the lowest Krum scores; the earlier position wins a tie.

    m = 1 is Krum, which is (α, f)-Byzantine resilient for n ≥ 2f+3 (Proposition 4.2); more is Multi-Krum, with
    m ≤ n − f. Source: Blanchard et al. 2017 (arXiv:1703.02757), sections 4 and 5.
    """
    scores = krum_scores(squared_distances, len(squared_distances) - f - 2)
    return tuple(sorted(int(position) for position in np.argsort(scores, kind="stable")[:m]))


def krum_scores(squared_distances: Matrix, neighbours: int) -> Matrix:
    """Σ of the squared distances to the nearest ``neighbours`` others, by the paper n − f − 2: (n, n) → (n,)."""
    others = squared_distances.copy()
    np.fill_diagonal(others, np.inf)
    others.sort(axis=1)
    scores: Matrix = others[:, :neighbours].sum(axis=1)
    return scores
