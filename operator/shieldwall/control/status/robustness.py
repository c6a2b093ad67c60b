"""Robust aggregation, 25 points: the rule that ran in the last released round, with its n and f, against the spec."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from shieldwall.contract.policy import Rule
from shieldwall.contract.records import Fate
from shieldwall.contract.theorem import replies_needed
from shieldwall.control.status.checks import NO_ROUND, UNSEEN, Claim, failed, observed, unknown

if TYPE_CHECKING:
    from shieldwall.contract.records import RoundRecord
    from shieldwall.control.api.aggregation import Aggregation
    from shieldwall.control.status.checks import Finding
    from shieldwall.control.status.view import View

_FED_AVG: Final = "FedAvg lets a single liar steer the model."

_CLIPPED_MEAN: Final = (
    "it outvotes no liar; those f may move each round's update by {moved:.3g}, whatever the others say."
)
"""Replacing one of n updates of norm at most C moves their mean by at most 2C/n (Sun 2019)."""


def _robust_rule(view: View) -> Finding:
    spec = view.sight.training.spec
    if spec.aggregation.rule is Rule.FED_AVG:
        return failed(_FED_AVG)
    last = _last(view)
    if isinstance(last, tuple):
        return last
    ran, wanted = _named(last.rule, last.pre_aggregation), _named(spec.aggregation.rule, spec.pre_aggregation)
    if ran != wanted:
        return failed(f"Round {last.round} was aggregated by {ran}; the spec wants {wanted}.")
    return observed(f"Round {last.round} was aggregated by {ran}.")


def _named(rule: str, pre_aggregation: str | None) -> str:
    return rule if pre_aggregation is None else f"{rule} after {pre_aggregation}"


def _theorem_holds(view: View) -> Finding:
    """The n is what the record's replies bear out, not only what it says."""
    aggregation = view.sight.training.spec.aggregation
    if aggregation.rule is Rule.FED_AVG:
        return failed(_FED_AVG)
    last = _last(view)
    return last if isinstance(last, tuple) else _judge(last, aggregation)


def _judge(last: RoundRecord, aggregation: Aggregation) -> Finding:
    f, wanted = last.byzantine, aggregation.tolerated
    n = min(last.admitted, sum(reply.fate is Fate.ADMITTED for reply in last.replies))
    needed = _needed(aggregation)
    ran = f"{last.rule} ran with n = {n}, f = {f}"
    if f != wanted:
        return failed(f"{ran} in round {last.round}; the spec wants f = {wanted}.")
    if f < 1:
        return failed(f"{ran}: not one liar is tolerated.")
    if last.rule != aggregation.rule.value or n < needed:
        return failed(f"{ran} in round {last.round}; {aggregation.rule.value} needs n >= {needed}.")
    if aggregation.rule is Rule.CLIPPED_MEAN:
        return failed(f"{ran}: {_CLIPPED_MEAN.format(moved=2 * f * (aggregation.max_norm or 0.0) / n)}")
    return observed(f"{ran} in round {last.round}; n >= {needed} is enough.")


def _policy_in_force(view: View) -> Finding:
    """The server goes by the policy that follows from the spec, byte for byte."""
    if view.sight.training.spec.aggregation.rule is Rule.FED_AVG:
        return failed(_FED_AVG)
    if view.fresh is None:
        return UNSEEN
    wanted, found = view.sight.outline.policy_sha256, view.fresh.status.policy_sha256
    if wanted is None or found is None:
        return unknown("The server has not told its policy yet.")
    if found != wanted:
        return failed("The server goes by another policy than the spec's.")
    return observed("The server goes by the spec's policy.")


def _needed(aggregation: Aggregation) -> int:
    """MultiKrum averages at most n - f updates (Blanchard 2017)."""
    return replies_needed(
        aggregation.rule,
        aggregation.tolerated,
        aggregation.before,
        aggregation.bucket_size,
        aggregation.select,
    )


def _last(view: View) -> RoundRecord | Finding:
    if view.fresh is None:
        return UNSEEN
    return view.fresh.last_round if view.fresh.last_round is not None else NO_ROUND


CLAIMS: Final = (
    Claim("RobustRuleRan", 10, _robust_rule),
    Claim("TheoremHolds", 10, _theorem_holds),
    Claim("PolicyInForce", 5, _policy_in_force),
)
