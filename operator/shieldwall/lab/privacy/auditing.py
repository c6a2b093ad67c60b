"""A lower bound on ε from how often an attacker guesses right: one run with many canaries.

Source: Steinke, Nasr, Jagielski 2023 (arXiv:2305.08846), Theorem 5.2 and Appendix D. Each of m slots holds one of two
records by a fair coin; the attacker sees what is released and says of some slots which. Under (ε, δ)-DP for the
replacement of one record by another, right guesses are about as rare as heads of a coin with e^ε/(1 + e^ε), however
the slots' outcomes hang together.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
from scipy.stats import binom

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Coins = NDArray[np.bool_]

CONFIDENCE: Final = 0.95
SHARES: Final = (1.0, 0.9, 0.5, 0.2, 0.05, 0.02)
"""Of the slots that are guessed, the surest; each is tried, and pays for having been tried."""
_LARGEST: Final = 50.0
_TOLERANCE: Final = 1e-4


class NoAuditError(ValueError):
    """An audit of so large an ε could not fail, and would prove nothing."""

    def __init__(self, epsilon: float, delta: float) -> None:
        super().__init__(f"no audit of one run can refute epsilon = {epsilon:.3g} at delta = {delta:g}")
        self.epsilon = epsilon
        self.delta = delta


@dataclass(frozen=True, slots=True)
class Guesses:
    """Of ``slots`` slots ``made`` were guessed and ``right`` of them rightly."""

    slots: int
    made: int
    right: int


@dataclass(frozen=True, slots=True)
class LowerBound:
    """With 95 % confidence ε is no less than this."""

    epsilon: float
    guesses: Guesses
    """By which it was found."""


def lower_bound(scores: NDArray[np.float64], coins: Coins, delta: float) -> LowerBound:
    """The best of several bounds, the confidence shared out among them (Bonferroni).

    ``scores``, (m,): the higher, the likelier is it that the slot's coin, (m,), fell True.
    """
    found = [guessed(scores, coins, max(2, int(share * len(scores)))) for share in SHARES]
    doubt = (1 - CONFIDENCE) / len(found)
    return max((LowerBound(least_epsilon(each, delta, doubt), each) for each in found), key=lambda one: one.epsilon)


def guessed(scores: NDArray[np.float64], coins: Coins, made: int) -> Guesses:
    """The ``made``/2 slots with the highest scores are called True, as many with the lowest False."""
    order, half = np.argsort(scores, kind="stable"), made // 2
    right = int((~coins[order[:half]]).sum() + coins[order[len(order) - half :]].sum())
    return Guesses(len(scores), 2 * half, right)


def least_epsilon(guesses: Guesses, delta: float, doubt: float) -> float:
    """The largest ε that is refuted: under it so many right guesses would be less likely than ``doubt``; 0 if none."""
    if likelihood(guesses, 0.0, delta) > doubt:
        return 0.0
    low, high = 0.0, _LARGEST
    while high - low > _TOLERANCE:
        middle = (low + high) / 2
        low, high = (middle, high) if likelihood(guesses, middle, delta) <= doubt else (low, middle)
    return low


def likelihood(guesses: Guesses, epsilon: float, delta: float) -> float:
    """The most that the probability of so many right guesses or more can be under (ε, δ)-DP (ibid., Theorem 5.2)."""
    coin = 1.0 / (1.0 + math.exp(-epsilon))
    at_least = float(binom.sf(guesses.right - 1, guesses.made, coin))
    fewer = binom.pmf(np.arange(guesses.right - 1, -1, -1), guesses.made, coin)
    worst = float(np.max(np.cumsum(fewer) / np.arange(1, guesses.right + 1), initial=0.0))
    return min(1.0, at_least + 2 * delta * guesses.slots * worst)


def slots_for(epsilon: float, delta: float) -> int:
    """The fewest slots, a power of two, with which an attacker that is never wrong refutes ``epsilon``.

    With fewer an audit could not fail. Raises NoAuditError where δ keeps any number from it: every slot is one more
    that may be told with probability δ.
    """
    doubt, slots = (1 - CONFIDENCE) / len(SHARES), 2
    while slots * delta < 1:
        if least_epsilon(Guesses(slots, slots, slots), delta, doubt) > epsilon:
            return slots
        slots *= 2
    raise NoAuditError(epsilon, delta)
