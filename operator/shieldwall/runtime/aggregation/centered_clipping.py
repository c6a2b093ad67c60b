"""Centred clipping, as weights of the updates."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from shieldwall.contract.theorem import CLIPPING_STEPS
from shieldwall.runtime.aggregation.geometric_median import from_mean

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from shieldwall.runtime.aggregation.geometry import Geometry


def centered_clipping_weights(geometry: Geometry, radius: float, steps: int = CLIPPING_STEPS) -> NDArray[np.float64]:
    """Weights of the n updates in v after ``steps`` steps of v ← v + (1/n) Σ clip(uᵢ − v, radius) from v = 0: → (n,).

    v = 0 is the last released model, for updates are differences from it. What clients send moves each step by the
    radius at most, and f liars move it by 2·f·radius/n. The paper's bound holds for n ≥ 10f (δ ≤ 0.1).
    Source: Karimireddy et al. 2021 (arXiv:2012.10333), equation 3 and Theorem III.
    """
    n = len(geometry.squared_norms)
    around = np.zeros((n + 1, n + 1))  # the last one is v = 0: then the weights are 1 in all
    around[:n, :n] = geometry.squared_distances
    around[n, :n] = around[:n, n] = geometry.squared_norms
    weights = np.zeros(n + 1)
    weights[n] = 1.0
    for _ in range(steps):
        apart = np.sqrt(from_mean(around, weights))[:n]
        pull = radius / np.maximum(apart, radius) / n
        weights *= 1.0 - pull.sum()
        weights[:n] += pull
    return weights[:n]
