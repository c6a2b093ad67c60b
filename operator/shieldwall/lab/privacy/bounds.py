"""The most that any attack can reach against (ε, δ), whatever it knows (Dong, Roth, Su 2019, arXiv:1905.02383)."""

from __future__ import annotations

import math
from typing import Final

_OVERFLOW: Final = 700.0


def most_true_positives(false_positives: float, epsilon: float, delta: float) -> float:
    """The largest share of members that is told with so many false positives (ibid., Proposition 2.5)."""
    few = delta + math.exp(min(epsilon, _OVERFLOW)) * false_positives
    many = 1.0 - math.exp(-epsilon) * (1.0 - delta - false_positives)
    return min(1.0, few, many)


def most_area(epsilon: float, delta: float) -> float:
    """The largest area under the curve: of the polygon through (0, δ), the corner of both lines, and (1 − δ, 1)."""
    corner = (1.0 - delta) / (1.0 + math.exp(min(epsilon, _OVERFLOW)))
    height = 1.0 - corner
    return corner * (delta + height) / 2 + (1.0 - delta - corner) * (height + 1.0) / 2 + delta
