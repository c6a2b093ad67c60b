"""When a rule may run: never outside its theorem (``shieldwall.contract.theorem``)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from shieldwall.contract.policy import Rule
from shieldwall.contract.theorem import THEOREMS, replies_needed

if TYPE_CHECKING:
    from shieldwall.contract.policy import AggregationPolicy
    from shieldwall.runtime.aggregation.updates import Updates

_NEEDS_A_NORM: Final = {
    Rule.CLIPPED_MEAN: "needs maxNorm: without it one client moves the mean anywhere",
    Rule.CENTERED_CLIPPING: "needs maxNorm, the radius that it clips to",
}


class TooFewUpdatesError(ValueError):
    """The rule promises nothing for so few updates; the round must be repeated with more."""

    def __init__(self, rule: Rule, n: int, f: int, needed: int) -> None:
        self.rule, self.n, self.f, self.needed, self.source = rule, n, f, needed, THEOREMS[rule].source
        super().__init__(f"{rule} with f = {f} needs {needed} updates and has {n} ({self.source})")


class UnsoundPolicyError(ValueError):
    """No number of updates makes this policy mean what it says; it must be changed."""

    def __init__(self, rule: Rule, reason: str) -> None:
        self.rule, self.reason, self.source = rule, reason, THEOREMS[rule].source
        super().__init__(f"{rule} {reason} ({self.source})")


def required_replies(policy: AggregationPolicy) -> int:
    """The fewest updates for which the rule's theorem holds; raises UnsoundPolicyError when there is no such number."""
    rule, f = policy.rule, policy.byzantine
    if rule is Rule.FED_AVG and f > 0:
        raise UnsoundPolicyError(rule, f"tolerates no Byzantine client, and byzantine is {f}")
    if rule is Rule.FED_AVG and policy.pre_aggregation is not None:
        raise UnsoundPolicyError(rule, f"weighs by examples, and {policy.pre_aggregation} leaves none to weigh by")
    if rule in _NEEDS_A_NORM and policy.max_norm is None:
        raise UnsoundPolicyError(rule, _NEEDS_A_NORM[rule])
    select = policy.select if rule is Rule.MULTI_KRUM else None
    return replies_needed(rule, f, policy.pre_aggregation, policy.bucket_size, select)


def require_theorem(updates: Updates, policy: AggregationPolicy) -> None:
    """Raise TooFewUpdatesError or UnsoundPolicyError unless the rule keeps its promise for these updates."""
    needed, f = required_replies(policy), policy.byzantine
    if len(updates) < needed:
        raise TooFewUpdatesError(policy.rule, len(updates), f, needed)
    if policy.rule is Rule.FED_AVG and not any(examples > 0 for examples in updates.num_examples):
        raise TooFewUpdatesError(policy.rule, 0, f, needed)  # updates without a single example have no weighted mean
