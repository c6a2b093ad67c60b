"""The geometric median, as weights of the updates."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from shieldwall.runtime.aggregation.geometry import Geometry

    Matrix = NDArray[np.float64]

_SMOOTHING: Final = 1e-9
"""The smoothing in parts of the median distance: Weiszfeld's weights 1/distance must stay finite."""
_TINY: Final = float(np.finfo(np.float64).tiny)
_MOST_STEPS: Final = 1000
_SETTLED: Final = 1e-10


def geometric_median_weights(geometry: Geometry) -> Matrix:
    """Weights, positive and 1 in all, of the n updates whose sum has the least total distance to them: → (n,).

    Its breakdown point is 1/2: for n > 2f it is off by at most 2(n−f)/(n−2f) of the honest updates' spread, whatever
    the f liars send. Smoothed Weiszfeld steps on distances alone. Source: Pillutla et al. 2019 (arXiv:1912.13445),
    Algorithm 2.
    """
    distances = geometry.squared_distances
    n = len(distances)
    weights = np.full(n, 1.0 / n)
    nu = _SMOOTHING * float(np.sqrt(np.median(distances)))
    for _ in range(_MOST_STEPS):
        apart = np.maximum(np.sqrt(from_mean(distances, weights)), max(nu, _TINY))
        inverse = apart.min() / apart
        step = inverse / inverse.sum()
        change, weights = float(np.abs(step - weights).sum()), step
        if change < _SETTLED:
            break
    return weights


def from_mean(squared_distances: Matrix, weights: Matrix) -> Matrix:
    """Squared distance of each update to ``Σ weights[i]·uᵢ``, weights 1 in all: (n, n), (n,) → (n,)."""
    across: Matrix = squared_distances @ weights
    return np.maximum(across - weights @ across / 2.0, 0.0)
