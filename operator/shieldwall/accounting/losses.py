"""Privacy losses of batches, as dp-accounting counts them, in little memory whatever the noise and the steps.

The grid of losses is as fine as fits. dp-accounting connects the dots (Doroshenko 2022, arXiv:2207.04380): on any grid
what it rounds the losses to dominates them, so that a coarser one only makes ε larger.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import reduce
from threading import Lock
from typing import TYPE_CHECKING, Any, Final

from shieldwall.accounting.floor import ROUNDING, log_sum

if TYPE_CHECKING:
    from collections.abc import Collection

FINEST: Final = 1e-3
"""Nats between two losses of up to a thousand batches, wherever it fits."""
_FEW: Final = 1000
"""Batches. Of more the grid is finer by the root of how many times as many, for what it adds grows with its square."""
MOST_POINTS: Final = 125_000
"""Losses of all batches together. SciPy keeps the plans of 16 Fourier transforms, each of as many complex numbers: 32
megabytes, and half as much while dp-accounting adds losses up."""
MOST_AT_ONCE: Final = 25_000
"""Losses of one batch, which dp-accounting keeps in a dictionary first."""
_CUT: Final = 1e-15
"""Of the tails of a sum of losses: counted as if nothing were hidden there."""
_ORDERS: Final = 20
"""Of moments: dp-accounting bounds those tails by so many, in parts of the range of one batch's losses."""
_REACH: Final = 10.0
"""Standard deviations of the noise beyond which it cuts one batch's losses off."""
_NODES: Final = 500
"""Of the trapezoidal rule, to either side: eight at least in a standard deviation."""
_FARTHEST: Final = 1e6
"""Of ε, beyond which nobody looks."""
_TOLERANCE: Final = 1e-9
"""Of ε."""
_ONE_AT_A_TIME: Final = Lock()
"""Threads that count at once would need the memory of each."""


@dataclass(frozen=True, slots=True)
class Batches:
    """``count`` batches of DP-SGD at one ``rate`` and one noise, in parts of what replacing one record changes."""

    noise_multiplier: float
    rate: float
    count: int


def epsilon_of_batches(batches: Collection[Batches], delta: float) -> float:
    """An upper bound of the smallest ε that holds with ``delta`` for all of them; they are one at least.

    Infinite where rounding alone might pass ``delta``.
    """
    exact = delta - ROUNDING * sum(each.count for each in batches)
    if exact <= 0:
        return math.inf
    with _ONE_AT_A_TIME:
        grid = grid_of(batches)
        losses = reduce(lambda some, more: some.compose(more, _CUT), (composed(each, grid) for each in batches))
        return _epsilon(losses, exact)


def _epsilon(losses: Any, delta: float) -> float:  # noqa: ANN401  # the library's PLDPmf is untyped
    """Where δ(ε) comes down to ``delta``. The library's own search answers infinity between 709 and 745."""
    from scipy.optimize import brentq

    def excess(epsilon: float) -> float:
        return math.log(max(float(losses.get_delta_for_epsilon(epsilon)), _CUT)) - math.log(delta)

    if excess(0.0) <= 0:
        return 0.0
    low, high = 0.0, 1.0
    while excess(high) > 0:
        low, high = high, 2.0 * high
        if high > _FARTHEST:
            return math.inf
    return float(brentq(excess, low, high, xtol=_TOLERANCE)) + _TOLERANCE


def composed(batches: Batches, grid: float) -> Any:  # noqa: ANN401  # the library's DensePLDPmf is untyped
    """The distribution of the sum of their losses, rounded to multiples of ``grid``.

    dp-accounting counts noise in parts of what adding one record changes, half of what replacing one does. A
    PLDAccountant would do the same, but begins with a power of as many digits as there are steps.
    """
    # Loaded where sampling is used: it takes a second.
    from dp_accounting.pld import pld_pmf
    from dp_accounting.pld.privacy_loss_mechanism import AdjacencyType, GaussianPrivacyLoss

    mechanism = GaussianPrivacyLoss(
        2.0 * batches.noise_multiplier, sampling_prob=batches.rate, adjacency_type=AdjacencyType.REPLACE
    )
    bounds = mechanism.connect_dots_bounds()
    low, high = math.floor(bounds.epsilon_lower / grid), math.ceil(bounds.epsilon_upper / grid)
    deltas = mechanism.get_delta_for_epsilon([loss * grid for loss in range(low, high + 1)])
    one = pld_pmf.create_pmf_pessimistic_connect_dots_fixed_gap(grid, low, high, deltas)
    return one.to_dense_pmf().self_compose(batches.count, _CUT)


def grid_of(batches: Collection[Batches]) -> float:
    """Nats between two losses: the finest that fits."""
    ranges = [_ranges(each) for each in batches]
    together, widest = sum(all_of_them for _, all_of_them in ranges), max(one for one, _ in ranges)
    wanted = FINEST * math.sqrt(min(1.0, _FEW / sum(each.count for each in batches)))
    return max(wanted, together / MOST_POINTS, widest / MOST_AT_ONCE)


def _ranges(batches: Batches) -> tuple[float, float]:
    """How wide the losses of one batch are, and of all together, where dp-accounting cuts them off, in nats.

    A batch is N(0, σ²) without the record and N(±1, σ²) with it, σ = 2z. A tail of the sum of losses L is cut where
    Chernoff's bound falls below half of _CUT: at (count·ln E exp(±λL) − ln(_CUT/2))/λ for the best order λ.
    """
    from scipy.special import logsumexp

    rate, count, sigma = batches.rate, batches.count, 2.0 * batches.noise_multiplier

    def log_density(x: float, unit: float) -> float:
        without = math.log1p(-rate) - (x / sigma) ** 2 / 2 if rate < 1 else -math.inf
        return log_sum(without, math.log(rate) - ((x - unit) / sigma) ** 2 / 2)

    farthest = 1.0 + _REACH * sigma
    nodes = [farthest * place / _NODES for place in range(-_NODES, _NODES + 1)]
    weights = [log_density(x, 1.0) for x in nodes]
    losses = [weight - log_density(x, -1.0) for x, weight in zip(nodes, weights, strict=True)]
    widest, total = max(losses) - min(losses), float(logsumexp(weights))

    def tail(sign: float) -> float:
        def cut(order: float) -> float:
            weighted = [sign * order * loss + weight for loss, weight in zip(losses, weights, strict=True)]
            return (count * (float(logsumexp(weighted)) - total) - math.log(_CUT / 2)) / order

        return min(cut(order / widest) for order in range(1, _ORDERS + 1))

    return widest, min(widest * count, tail(1.0) + tail(-1.0))
