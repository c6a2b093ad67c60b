"""The Gaussian mechanism without sampling, exactly.

Composed k times with noise multipliers z₁ … z_k it is μ-GDP with μ² = Σ 1/zᵢ² (Dong, Roth, Su 2019, arXiv:1905.02383,
Corollary 3.3), and μ-GDP is (ε, δ(ε))-DP with
δ(ε) = Φ(−ε/μ + μ/2) − e^ε·Φ(−ε/μ − μ/2) (ibid., Corollary 2.13; Balle, Wang 2018, arXiv:1805.06530, Theorem 8).

SciPy is loaded where a number is asked for: sensitivities are read without it.
"""

from __future__ import annotations

import math
from typing import Final

_TOLERANCE: Final = 1e-12
_LARGEST: Final = 1e6
"""Of ε and μ, beyond which nobody looks."""


def log_delta(epsilon: float, mu: float) -> float:
    """Natural logarithm of the smallest δ for which μ-GDP is (ε, δ)-DP; ε ≥ 0, μ > 0."""
    from scipy.special import log_ndtr

    upper = float(log_ndtr(-epsilon / mu + mu / 2))
    lower = epsilon + float(log_ndtr(-epsilon / mu - mu / 2))
    return upper + math.log(-math.expm1(lower - upper)) if lower < upper else -math.inf


def epsilon_of_mu(mu: float, delta: float) -> float:
    """The smallest ε ≥ 0 for which μ-GDP is (ε, δ)-DP; infinite beyond 1e6."""
    from scipy.optimize import brentq

    if mu == 0 or log_delta(0.0, mu) <= math.log(delta):
        return 0.0
    if log_delta(_LARGEST, mu) > math.log(delta):
        return math.inf
    return float(brentq(lambda epsilon: log_delta(epsilon, mu) - math.log(delta), 0.0, _LARGEST, xtol=_TOLERANCE))


def mu_of_epsilon(epsilon: float, delta: float) -> float:
    """The largest μ for which μ-GDP is (ε, δ)-DP; ε ≥ 0, 0 < δ < 1."""
    from scipy.optimize import brentq

    return float(
        brentq(lambda mu: log_delta(epsilon, mu) - math.log(delta), 1e-6, 2 * math.sqrt(_LARGEST), xtol=_TOLERANCE)
    )
