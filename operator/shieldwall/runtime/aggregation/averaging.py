"""Averages of whole updates, as weights."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray


def fed_avg_weights(num_examples: Sequence[int]) -> NDArray[np.float64]:
    """Each client's claimed share of all examples: (n,) → (n,).

    The insecure baseline: one client moves the result as far as it likes, by its update or by its claim.
    At least one claim must be positive. Source: McMahan et al. 2017 (arXiv:1602.05629), Algorithm 1.
    """
    total = sum(num_examples)
    return np.array([examples / total for examples in num_examples])


def mean_weights(n: int) -> NDArray[np.float64]:
    """1/n each. Of updates that are scaled down to norm C it bounds what f liars do by 2·f·C/n and does not undo it.

    Source: Sun et al. 2019 (arXiv:1911.07963), section 4.
    """
    return np.full(n, 1.0 / n)
