"""Figures with what may be said of them: receiver operating characteristics, and intervals at 95 %."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from scipy.stats import binomtest, rankdata

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    Scores = NDArray[np.float64]
    Members = NDArray[np.bool_]

CONFIDENCE: Final = 0.95
RESAMPLES: Final = 1000


@dataclass(frozen=True, slots=True)
class Estimate:
    """A figure and its interval."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        """``0.71 (0.68–0.74)``."""
        return f"{self.value:.2f} ({self.low:.2f}–{self.high:.2f})".replace("-", "−")


def area_under_curve(scores: Scores, members: Members) -> float:
    """How often a member's score is above a stranger's, ties half (Mann, Whitney 1947)."""
    inside, outside = int(members.sum()), int((~members).sum())
    ranks = rankdata(scores)
    return float((ranks[members].sum() - inside * (inside + 1) / 2) / (inside * outside))


def true_positives(scores: Scores, members: Members, false_positives: float) -> float:
    """The share of members above the lowest threshold that at most ``false_positives`` of strangers reach."""
    strangers = np.sort(scores[~members])[::-1]
    allowed = int(false_positives * len(strangers))
    threshold = strangers[allowed] if allowed < len(strangers) else -np.inf
    return float((scores[members] > threshold).mean())


def bootstrapped(groups: Sequence[Any], figure: Callable[[Sequence[Any]], float], rng: np.random.Generator) -> Estimate:
    """``figure`` of all groups, and percentiles over resampled ones: what shares a model or a seed stays together.

    Source: Davison, Hinkley 1997, Bootstrap Methods and their Application, section 3.8.
    """
    drawn = [figure([groups[place] for place in rng.integers(len(groups), size=len(groups))]) for _ in range(RESAMPLES)]
    low, high = np.quantile(drawn, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return Estimate(figure(groups), float(low), float(high))


def proportion(hits: int, of: int) -> Estimate:
    """A share and its exact interval (Clopper, Pearson 1934, doi:10.1093/biomet/26.4.404)."""
    found = binomtest(hits, of).proportion_ci(CONFIDENCE, method="exact")
    return Estimate(hits / of, float(found.low), float(found.high))
