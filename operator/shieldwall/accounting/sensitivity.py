"""How far one client can move a round's aggregate: the L2 sensitivity of each rule, as data.

Adjacency is replace-one: one of the n updates, each of norm C at most, is replaced by another. Under central noise a
rule is sound only where this is bounded by a public number that shrinks with n, or is at least known; all others are
refused. Sources: Lipschitz constants of the rules, derived with each entry.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from shieldwall.accounting.accountant import epsilon_of
from shieldwall.accounting.events import Release
from shieldwall.contract.policy import AggregationPolicy, PreAggregation, Rule
from shieldwall.contract.theorem import BUCKET_SIZE, CLIPPING_STEPS, trim

if TYPE_CHECKING:
    from collections.abc import Callable

    from shieldwall.accounting.events import FixedSize


@dataclass(frozen=True, slots=True)
class Entry:
    """What is known of one rule."""

    times_mean: Callable[[AggregationPolicy, int], float]
    """Its sensitivity over the mean's, 2C/n, for n updates; the least that can be said where it is refused."""
    formula: str
    refused: str = ""
    """Why it may not be used under central noise; empty where it may."""
    warned: str = ""
    """What it costs, where it may be used and should not."""


class UnsoundPairError(ValueError):
    """No noise of any use covers what one client changes; ``reason`` says why, ``times`` how far off the mean it is."""

    def __init__(self, name: str, reason: str, times: float) -> None:
        super().__init__(f"{name} {reason}")
        self.name = name
        self.reason = reason
        self.times = times


def _trimmed(policy: AggregationPolicy, n: int) -> float:
    """The mean of the n − 2k middle values is 1/(n − 2k)-Lipschitz in each value of each coordinate."""
    return n / (n - 2 * trim(n, policy.byzantine, policy.beta))


def _bucketed(policy: AggregationPolicy, n: int) -> float:
    """One update moves one bucket's mean by 2C over its size; the last bucket may be smaller than the others."""
    size = policy.bucket_size or BUCKET_SIZE
    buckets, smallest = -(-n // size), n % size or size
    return n / (smallest * (buckets - 2 * trim(buckets, policy.byzantine, policy.beta)))


def _median(_: AggregationPolicy, n: int) -> float:
    """A trimmed mean of one value, or two."""
    return n / (1 if n % 2 else 2)


def _multi_krum(policy: AggregationPolicy, n: int) -> float:
    """Two choices of m among n differ in min(m, n − m + 1) members at most."""
    m = policy.select or n - policy.byzantine
    return n * min(m, n - m + 1) / m


def _centered(_: AggregationPolicy, __: int) -> float:
    """Each step is non-expansive in v, and one client moves it by 2τ/n."""
    return float(CLIPPING_STEPS)


def _whole(_: AggregationPolicy, n: int) -> float:
    """One client may exchange the whole result for another of norm C."""
    return float(n)


UNKNOWN: Final = "unknown"
"""The formula where no bound is known but that of everything, 2C."""
_WEIGHTS: Final = "weighs clients by the examples that they claim, and no number of examples is public. Use ClippedMean"
_MOVED: Final = (
    "may exchange its whole result when one client changes: its sensitivity is 2C, n times the mean's, and noise that"
    " covers it drowns the model. Use ClippedMean, FedTrimmedAvg or CenteredClipping"
)
_UNBOUNDED: Final = (
    "chooses by comparing clients with each other, and no bound on what one of them changes is known but 2C. Use"
    " ClippedMean, FedTrimmedAvg or CenteredClipping"
)
_MEDIAN: Final = (
    "a median hides one client no better than a single update would: the noise is n or n/2 times the mean's"
)

TABLE: Final = {
    Rule.FED_AVG: Entry(_whole, "–", refused=_WEIGHTS),
    Rule.CLIPPED_MEAN: Entry(lambda _, __: 1.0, "2C/n"),
    Rule.FED_TRIMMED_AVG: Entry(_trimmed, "2C/(n − 2k), k the values cut at each end"),
    Rule.FED_MEDIAN: Entry(_median, "2C where n is odd, C where it is even", warned=_MEDIAN),
    Rule.CENTERED_CLIPPING: Entry(_centered, "2Lτ/n, L = 3 steps of radius τ = C"),
    Rule.MULTI_KRUM: Entry(_multi_krum, "2C·min(m, n − m + 1)/m"),
    Rule.KRUM: Entry(_whole, "2C", refused=_MOVED),
    Rule.GEOMETRIC_MEDIAN: Entry(_whole, "2C", refused=_MOVED),
    Rule.BULYAN: Entry(_whole, UNKNOWN, refused=_UNBOUNDED),
}
MIXED: Final = Entry(_whole, UNKNOWN, refused=_UNBOUNDED)
"""NearestNeighborMixing before any rule."""
BUCKETED: Final = Entry(_bucketed, "2C/(b·(n/s − 2k)), b the size of the smallest bucket")
"""Bucketing before FedTrimmedAvg."""
UNKNOWN_IN_BUCKETS: Final = Entry(
    _whole,
    UNKNOWN,
    refused="has no sensitivity that is known in buckets; FedTrimmedAvg has. Leave Bucketing out, or use FedTrimmedAvg",
)
"""Bucketing before any other rule."""


def entry_of(policy: AggregationPolicy) -> Entry:
    """What is known of the policy's rule and what goes before it."""
    match policy.pre_aggregation:
        case PreAggregation.NEAREST_NEIGHBOR_MIXING:
            return MIXED
        case PreAggregation.BUCKETING if policy.rule is Rule.FED_TRIMMED_AVG:
            return BUCKETED
        case PreAggregation.BUCKETING:
            return UNKNOWN_IN_BUCKETS
        case None:
            return TABLE[policy.rule]


def sensitivity_of(policy: AggregationPolicy, n: int, clip: float) -> float:
    """The L2 sensitivity, in units of the model, of the rule on n updates of norm ``clip`` at most.

    Raises UnsoundPairError for rules that are refused, and ValueError for an n outside the rule's theorem.
    """
    entry = entry_of(policy)
    if entry.refused:
        raise UnsoundPairError(name_of(policy), entry.refused, entry.times_mean(policy, n))
    times = entry.times_mean(policy, n)
    if times <= 0:
        raise ValueError(f"{name_of(policy)} is not defined on {n} updates")
    return times * 2.0 * clip / n


def true_epsilon(  # noqa: PLR0913, PLR0917  # a release, how often, and of what
    policy: AggregationPolicy,
    n: int,
    noise_multiplier: float,
    releases: int,
    delta: float,
    sampling: FixedSize | None = None,
) -> float:
    """The ε that noise calibrated for the mean of n really gives with the policy's rule: what a naive set-up hides."""
    noise = noise_multiplier / entry_of(policy).times_mean(policy, n)
    return epsilon_of({Release(noise, sampling): releases}, delta)


def name_of(policy: AggregationPolicy) -> str:
    """The rule, and what goes before it."""
    before = policy.pre_aggregation
    return policy.rule.value if before is None else f"{policy.rule.value} after {before.value}"
