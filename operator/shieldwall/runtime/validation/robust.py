"""Robust z-scores: how many deviations a value lies from the median, by the median absolute deviation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

NORMAL: Final = 1.4826
"""From a median absolute deviation to a standard deviation, for normal values (Hampel 1974)."""
LARGEST: Final = 1e6
"""Scores are cut here, so that records can carry them."""


def z_scores(values: NDArray[np.float64], least: float) -> NDArray[np.float64]:
    """The score of each of n finite values against all of them: (n,), finite; a deviation below ``least`` counts as it.

    Up to half of the values, whatever they are, move the median and the deviation only within the range of the rest.
    """
    middle = np.median(values)
    deviation = max(NORMAL * float(np.median(np.abs(values - middle))), least)
    return np.clip((values - middle) / deviation, -LARGEST, LARGEST)


def z_score(value: float, earlier: Sequence[float], least: float) -> float:
    """The score of one value against ``earlier`` ones, at least one."""
    known = np.asarray(earlier, np.float64)
    middle = float(np.median(known))
    deviation = max(NORMAL * float(np.median(np.abs(known - middle))), least)
    return float(np.clip((value - middle) / deviation, -LARGEST, LARGEST))


def relative_logs(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """ln(value / median), (n,): sizes that differ by factors are symmetrical on this scale. Zeros become −20."""
    middle = np.median(values)
    if middle <= 0:
        return np.where(values > 0, 20.0, 0.0)
    return np.log(np.clip(values / middle, np.exp(-20.0), np.exp(20.0)))
