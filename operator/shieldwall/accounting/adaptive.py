"""Adaptive clipping: one noise multiplier shared by the aggregate and by the count that moves the clip.

Source: Andrew et al. 2019 (arXiv:1905.03871), Theorem 1, which counts ±1/2 under add-or-remove. Here one client is
replaced by another, the count of norms within the clip moves by 1, and σ_b stands where the paper has 2σ_b.
"""

from __future__ import annotations

import math


def aggregate_multiplier(noise_multiplier: float, count_noise: float) -> float:
    """What the aggregate's noise has to be, over its sensitivity, so that both together cost ``noise_multiplier``.

    (z⁻² − σ_b⁻²)^(−1/2). Raises ValueError unless z < σ_b: the count alone would cost more than that.
    """
    if not 0 < noise_multiplier < count_noise:
        raise ValueError(
            f"the noise on the count, {count_noise:g}, must be larger than the noise multiplier,"
            f" {noise_multiplier:g}: releasing the count alone costs more than the release may"
        )
    return 1.0 / math.sqrt(noise_multiplier**-2 - count_noise**-2)


def next_clip(clip: float, within: float, quantile: float, rate: float) -> float:
    """The clip that follows ``clip``: C·exp(−η(b̄ − γ)), ``within`` being b̄ and ``quantile`` γ (ibid., section 2)."""
    return clip * math.exp(-rate * (within - quantile))
