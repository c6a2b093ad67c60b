"""Adaptive clipping: one noise multiplier shared by what a round releases, the update and a count."""

from __future__ import annotations

import math
from typing import Final

COHORT: Final = 10
"""σ_b must not exceed the clients of a round over this, or the clip follows noise instead of norms."""


class CountTooLoudError(ValueError):
    """The noisy count spends all that the round may spend, or more: σ_b ≤ z."""

    def __init__(self, noise_multiplier: float, count_noise: float) -> None:
        super().__init__(
            f"a count with noise {count_noise:g} spends all that noise multiplier {noise_multiplier:g} may spend;"
            f" its noise has to be above {noise_multiplier:g}"
        )
        self.noise_multiplier = noise_multiplier
        self.count_noise = count_noise


def update_noise(noise_multiplier: float, count_noise: float) -> float:
    """z_Δ = (z⁻² − σ_b⁻²)^(−1/2), the update's own noise multiplier, so that with the count both spend what z does.

    Replacing one client changes the count of updates within the clip by 1 at most, so ``count_noise`` σ_b is the
    count's multiplier. Raises CountTooLoudError unless z < σ_b.
    Source: Andrew et al. 2019 (arXiv:1905.03871), Theorem 1. There a client is added or removed, which changes the
    centred count by 1/2 and an update by C, not 2C: its z and z_Δ are twice ours, and it has 2σ_b where σ_b stands
    here.
    """
    if not noise_multiplier < count_noise:
        raise CountTooLoudError(noise_multiplier, count_noise)
    return 1.0 / math.sqrt(noise_multiplier**-2 - count_noise**-2)
