"""From releases to ε, and from ε to the noise that keeps it.

Adjacency is replace-one throughout: one unit, a record or a client, is replaced by another. Without sampling the
closed form is used (``gaussian``); with it dp-accounting: privacy loss distributions for Poisson sampling, Rényi
divergences for samples of a fixed size.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from shieldwall.accounting.events import FixedSize, Poisson, Release
from shieldwall.accounting.floor import MOST_EPSILON, least_epsilon
from shieldwall.accounting.gaussian import epsilon_of_mu, mu_of_epsilon
from shieldwall.accounting.losses import Batches, epsilon_of_batches

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

DIGITS: Final = 4
"""Significant digits of a calibrated noise multiplier, rounded up."""
_LARGEST: Final = 1e4
"""Noise that is larger teaches nothing at all."""
_SMALLEST: Final = 1e-12
"""Of ε, for its logarithm."""
_MOST: Final = 1_000_000
"""Releases."""


class EpsilonUnknownError(ValueError):
    """No accountant covers this mixture of releases."""


def epsilon_of(releases: Mapping[Release, int], delta: float) -> float:
    """The smallest ε that is known to hold with ``delta`` for all ``releases``, by how often each was made.

    Infinite where they hide nothing: beyond a million, and of batches where they cost more than 1000 at least.

    Raises EpsilonUnknownError where Poisson and fixed-size sampling are mixed.
    """
    made = {release: count for release, count in releases.items() if count > 0}
    kinds = {type(release.sampling) for release in made} - {type(None)}
    if not kinds:
        return epsilon_of_mu(math.sqrt(sum(count / one.noise_multiplier**2 for one, count in made.items())), delta)
    if len(kinds) > 1:
        raise EpsilonUnknownError("Poisson and fixed-size sampling cannot be accounted together")
    return (_of_batches if kinds == {Poisson} else _of_cohorts)(frozenset(made.items()), delta)


@lru_cache(maxsize=1024)
def _of_batches(releases: frozenset[tuple[Release, int]], delta: float) -> float:
    """By distributions of privacy losses; a release without sampling is a batch of all records."""
    batches = [
        Batches(one.noise_multiplier, one.sampling.rate if isinstance(one.sampling, Poisson) else 1.0, count)
        for one, count in sorted(releases, key=repr)
    ]
    if any(least_epsilon(each.noise_multiplier, each.rate, each.count, delta) > MOST_EPSILON for each in batches):
        return math.inf
    return epsilon_of_batches(batches, delta)


@lru_cache(maxsize=1024)
def _of_cohorts(releases: frozenset[tuple[Release, int]], delta: float) -> float:
    """By Rényi divergences, of clients that are drawn in secret."""
    # Loaded where sampling is used: it takes a second.
    from dp_accounting import GaussianDpEvent, NeighboringRelation, SampledWithoutReplacementDpEvent
    from dp_accounting.rdp import RdpAccountant

    accountant = RdpAccountant(None, NeighboringRelation.REPLACE_ONE)
    for release, count in sorted(releases, key=repr):
        event, drawn = GaussianDpEvent(release.noise_multiplier), release.sampling
        if isinstance(drawn, FixedSize):
            event = SampledWithoutReplacementDpEvent(drawn.population, drawn.sample, event)
        accountant.compose(event, count)
    return float(accountant.get_epsilon(delta))


@lru_cache(maxsize=4096)
def noise_multiplier_for(
    epsilon: float, delta: float, releases: int, sampling: Poisson | FixedSize | None = None
) -> float:
    """The least noise multiplier, rounded up to 4 digits, with which ``releases`` releases spend at most ``epsilon``.

    Raises ValueError where even a multiplier of 10,000 does not.
    """
    plain = math.sqrt(releases) / mu_of_epsilon(epsilon, delta)
    if sampling is None:
        return _of_use(rounded_up(plain), epsilon)

    def excess(log_noise: float) -> float:
        spent = epsilon_of({Release(math.exp(log_noise), sampling): releases}, delta)
        return math.log(max(spent, _SMALLEST) / epsilon)

    # From above: with far too little noise the distributions of losses fill the memory.
    high = math.log(plain) + 1.0
    if excess(high) > 0:
        raise ValueError(f"no noise multiplier below {math.exp(high):.4g} gives epsilon = {epsilon:g}")
    while excess(high - 1.0) <= 0:
        high -= 1.0
    noise = rounded_up(math.exp(_root(excess, high - 1.0, high)))
    more = 10.0**-DIGITS
    while excess(math.log(noise)) > 0:
        noise, more = rounded_up(noise * (1.0 + more)), 2.0 * more
    return _of_use(noise, epsilon)


def _root(excess: Callable[[float], float], low: float, high: float) -> float:
    """Where it is zero, to a tenth of the last digit; it falls from ``low`` to ``high``."""
    from scipy.optimize import brentq

    return float(brentq(excess, low, high, xtol=10.0 ** -(DIGITS + 1)))


def _of_use(noise: float, epsilon: float) -> float:
    if noise > _LARGEST:
        raise ValueError(f"no noise multiplier up to {_LARGEST:g} gives epsilon = {epsilon:g}")
    return noise


def releases_within(
    epsilon: float, delta: float, noise_multiplier: float, sampling: Poisson | FixedSize | None = None
) -> int:
    """How many releases with ``noise_multiplier`` spend at most ``epsilon``; at most a million."""
    release = Release(noise_multiplier, sampling)

    def fit(count: int) -> bool:
        return epsilon_of({release: count}, delta) <= epsilon

    low, high = 0, 1
    while high < _MOST and fit(high):
        low, high = high, high * 2
    high = min(high, _MOST + 1)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if fit(middle) else (low, middle)
    return low


def rounded_up(number: float) -> float:
    """To 4 significant digits; ``number`` > 0."""
    step = 10.0 ** (math.floor(math.log10(number)) + 1 - DIGITS)
    return float(f"{math.ceil(number / step - 1e-9) * step:.{DIGITS}g}")
