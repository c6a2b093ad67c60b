"""Rules that pick the updates with the nearest neighbours."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from shieldwall.runtime.aggregation.vectors import BLOCK, spans

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from shieldwall.runtime.aggregation.updates import Updates


def krum_choice(updates: Updates, f: int, m: int) -> tuple[int, ...]:
    """Positions, ascending, of the ``m`` updates with the lowest Krum scores; the earlier position wins a tie.

    m = 1 is Krum, which is (α, f)-Byzantine resilient for n ≥ 2f+3 (Proposition 4.2); more is Multi-Krum, with
    m ≤ n − f. Source: Blanchard et al. 2017 (arXiv:1703.02757), sections 4 and 5.
    """
    order = np.argsort(krum_scores(squared_distances(updates), f), kind="stable")
    return tuple(sorted(int(position) for position in order[:m]))


def krum_scores(distances: NDArray[np.float64], f: int) -> NDArray[np.float64]:
    """Σ of the squared distances to the n − f − 2 nearest others: (n, n) → (n,); n ≥ f + 3."""
    n = len(distances)
    others = distances.copy()
    np.fill_diagonal(others, np.inf)
    others.sort(axis=1)
    scores: NDArray[np.float64] = others[:, : n - f - 2].sum(axis=1)
    return scores


def squared_distances(updates: Updates) -> NDArray[np.float64]:
    """Squared L2 distance of each pair: (n, n), symmetric, zero on the diagonal; infinite beyond float64.

    Updates are differences from the model already, and here they are subtracted from each other, in float64, before
    anything is squared. The shorter ‖a‖² + ‖b‖² − 2·a·b on whole float32 weights is noise late in training.
    """
    n = len(updates)
    total = np.zeros((n, n))
    rows, differences = np.empty((n, BLOCK)), np.empty((n, BLOCK))
    for span in spans(updates.vectors[0].size):
        width = span.stop - span.start
        block, gaps = rows[:, :width], differences[:, :width]
        for position, vector in enumerate(updates.vectors):
            block[position] = vector[span]
        with np.errstate(over="ignore"):
            for i in range(n - 1):
                np.subtract(block[i + 1 :], block[i], out=gaps[i + 1 :])
                total[i, i + 1 :] += np.einsum("ij,ij->i", gaps[i + 1 :], gaps[i + 1 :])
    return total + total.T
