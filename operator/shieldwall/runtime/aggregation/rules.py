"""The policy's rule, and when it may run.

| rule | needs | liars |
|---|---|---|
| FedAvg | n ≥ 1 | none: the insecure baseline |
| ClippedMean | n ≥ 1, a norm to clip to | any, each bounded by 2C/n |
| FedMedian, FedTrimmedAvg | n ≥ 2f+1 | f |
| Krum | n ≥ 2f+3 | f |
| MultiKrum | n ≥ 2f+3, m ≤ n − f | f |
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from shieldwall.contract.policy import Rule
from shieldwall.runtime.aggregation.averaging import clipped_mean, fed_avg
from shieldwall.runtime.aggregation.coordinatewise import fed_median, fed_trimmed_avg, trim
from shieldwall.runtime.aggregation.krum import krum_choice
from shieldwall.runtime.aggregation.updates import Aggregate, Updates
from shieldwall.runtime.aggregation.vectors import combine, norm

if TYPE_CHECKING:
    from shieldwall.contract.policy import AggregationPolicy
    from shieldwall.runtime.model import Vector

SOURCES: Final = {
    Rule.FED_AVG: "McMahan 2017, arXiv:1602.05629",
    Rule.CLIPPED_MEAN: "Sun 2019, arXiv:1911.07963",
    Rule.FED_MEDIAN: "Yin 2018, arXiv:1803.01498",
    Rule.FED_TRIMMED_AVG: "Yin 2018, arXiv:1803.01498",
    Rule.KRUM: "Blanchard 2017, arXiv:1703.02757",
    Rule.MULTI_KRUM: "Blanchard 2017, arXiv:1703.02757",
}
SELECTION_RULES: Final = frozenset({Rule.KRUM, Rule.MULTI_KRUM})


class TooFewUpdatesError(ValueError):
    """The rule promises nothing for so few updates; the round must be repeated with more."""

    def __init__(self, rule: Rule, n: int, f: int, needed: int) -> None:
        self.rule, self.n, self.f, self.needed, self.source = rule, n, f, needed, SOURCES[rule]
        super().__init__(f"{rule} with f = {f} needs {needed} updates and has {n} ({self.source})")


class UnsoundPolicyError(ValueError):
    """No number of updates makes this policy mean what it says; it must be changed."""

    def __init__(self, rule: Rule, reason: str) -> None:
        super().__init__(f"{rule} {reason} ({SOURCES[rule]})")
        self.rule, self.reason, self.source = rule, reason, SOURCES[rule]


def required_replies(policy: AggregationPolicy) -> int:
    """The fewest updates for which the rule's theorem holds; raises UnsoundPolicyError when there is no such number."""
    f = policy.byzantine
    match policy.rule:
        case Rule.FED_AVG:
            if f > 0:
                raise UnsoundPolicyError(policy.rule, f"tolerates no Byzantine client, and byzantine is {f}")
            return 1
        case Rule.CLIPPED_MEAN:
            if policy.max_norm is None:
                raise UnsoundPolicyError(policy.rule, "needs maxNorm: without it one client moves the mean anywhere")
            return 1
        case Rule.FED_MEDIAN | Rule.FED_TRIMMED_AVG:
            return 2 * f + 1
        case Rule.KRUM:
            return 2 * f + 3
        case Rule.MULTI_KRUM:
            return max(2 * f + 3, (policy.select or 1) + f)


def aggregate(updates: Updates, policy: AggregationPolicy) -> Aggregate:
    """Make one update of n by the policy's rule: (n, d) → (d,).

    Raises TooFewUpdatesError and UnsoundPolicyError outside the rule's theorem; nothing is ever clamped to fit.
    Selection rules select among raw updates and clip what they selected; all others clip first.
    """
    _require_theorem(updates, policy)
    if policy.rule in SELECTION_RULES:
        return _select(updates, policy)
    scales = [_scale(vector, policy.max_norm) for vector in updates.vectors]
    clipped = tuple(position for position, scale in enumerate(scales) if scale < 1.0)
    return Aggregate(_reduce(updates, scales, policy), None, clipped)


def _require_theorem(updates: Updates, policy: AggregationPolicy) -> None:
    needed, f = required_replies(policy), policy.byzantine
    if len(updates) < needed:
        raise TooFewUpdatesError(policy.rule, len(updates), f, needed)
    if policy.rule is Rule.FED_AVG and not any(examples > 0 for examples in updates.num_examples):
        raise TooFewUpdatesError(policy.rule, 0, f, needed)  # updates without a single example have no weighted mean


def _reduce(updates: Updates, scales: list[float], policy: AggregationPolicy) -> Vector:
    if policy.rule is Rule.FED_AVG:
        return fed_avg(updates, scales)
    if policy.rule is Rule.CLIPPED_MEAN:
        return clipped_mean(updates, scales)
    if policy.rule is Rule.FED_MEDIAN:
        return fed_median(updates, scales)
    return fed_trimmed_avg(updates, scales, trim(len(updates), policy.byzantine, policy.beta))


def _select(updates: Updates, policy: AggregationPolicy) -> Aggregate:
    n, f = len(updates), policy.byzantine
    m = 1 if policy.rule is Rule.KRUM else policy.select or n - f
    chosen = krum_choice(updates, f, m)
    scales = [_scale(updates.vectors[position], policy.max_norm) for position in chosen]
    delta = combine([updates.vectors[position] for position in chosen], [scale / m for scale in scales])
    clipped = tuple(position for position, scale in zip(chosen, scales, strict=True) if scale < 1.0)
    return Aggregate(delta, chosen, clipped)


def _scale(vector: Vector, max_norm: float | None) -> float:
    """What to multiply an update by so that its norm is at most ``max_norm``."""
    if max_norm is None:
        return 1.0
    length = norm(vector)
    return max_norm / length if length > max_norm else 1.0
