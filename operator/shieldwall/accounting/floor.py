"""What sampled releases cost at least, in closed form: whether it is worth asking for their distributions of losses.

These grow with ε, and with far too little noise fill the memory.
"""

from __future__ import annotations

import math
from typing import Final

MOST_EPSILON: Final = 1000.0
"""Nothing is hidden beyond it, and no target may be larger."""
MOST_STEPS: Final = 1_000_000
"""Of DP-SGD in a training: distributions of more losses take too long."""
LEAST_DELTA: Final = 1e-10
"""Of batches: tails of distributions are cut at 1e-15."""
ROUNDING: Final = 1e-15
"""Of δ, for each batch, left out of what ε is asked for: more than double precision was seen to lose (4e-16)."""
DELTA_OF_STEP: Final = 4 * ROUNDING
"""For each step of all rounds: with attempts that are repeated, at most as many again, half of δ is left."""
_THRESHOLDS: Final = (0.0, 0.25, 0.5, 0.75, 1.0)
"""In parts of the sensitivity, around what a release is with the unit, 1/2: each shows other noises and rates best."""


def least_epsilon(noise_multiplier: float, rate: float, count: int, delta: float) -> float:
    """A lower bound of ε for ``count`` releases in which a unit takes part with probability ``rate``; may be negative.

    Let the unit be worth 1/2 or −1/2, all others nothing, and count the releases above a threshold t. Each is, with
    probability a = (1−q)Φ(−t/z) + qΦ((1/2−t)/z) or b = (1−q)Φ(−t/z) + qΦ((−1/2−t)/z). For k = ⌊T·a⌋ the count K has
    P(K ≥ k) ≥ 1/2 under the one, since no median of a binomial lies below it, and P(K ≥ k) ≤ exp(−T·KL(k/T, b)) under
    the other (Chernoff; Hoeffding 1963, Theorem 1). So (ε, δ) needs e^ε ≥ (1/2 − δ)·exp(T·KL(k/T, b)).
    """
    if delta >= 0.5:  # noqa: PLR2004  # the half of above
        return 0.0
    return max(count * _divergence(t / noise_multiplier, 0.5 / noise_multiplier, rate, count) for t in _THRESHOLDS) + (
        math.log(0.5 - delta)
    )


def _divergence(threshold: float, shift: float, rate: float, count: int) -> float:
    """KL(k/T, b), 0 where k/T is not above b; ``threshold`` and ``shift`` in standard deviations of the noise."""
    from scipy.special import log_ndtr

    without = math.log1p(-rate) + float(log_ndtr(-threshold)) if rate < 1 else -math.inf
    above = math.exp(without) + rate * math.exp(float(log_ndtr(shift - threshold)))
    log_b = log_sum(without, math.log(rate) + float(log_ndtr(-shift - threshold)))
    share = math.floor(min(above, 1.0) * count) / count
    if share <= math.exp(log_b):
        return 0.0
    rest = 1.0 - share
    beyond = rest * (math.log(rest) - math.log1p(-math.exp(log_b))) if rest > 0 else 0.0
    return share * (math.log(share) - log_b) + beyond


def log_sum(one: float, other: float) -> float:
    """log(e^one + e^other); ``other`` is finite."""
    high, low = max(one, other), min(one, other)
    return high + math.log1p(math.exp(low - high))
