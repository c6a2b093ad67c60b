"""How many silent clients a round can do without: fewer than f, and liars hold every round up by saying nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from shieldwall.contract.cohort import clients_asked
from shieldwall.contract.theorem import THEOREMS

if TYPE_CHECKING:
    from shieldwall.control.api.spec import FederatedTrainingSpec

MIN_REPLIES: Final = "spec.rounds.minReplies"


def impatience(spec: FederatedTrainingSpec) -> str:
    """Why f silent clients hold up every round, and the values with which they do not; empty where they do not.

    A round asks n clients, and only n − f of them answer when f liars say nothing.
    """
    asked, f, needed = spec.asked, spec.aggregation.tolerated, spec.min_replies
    if needed <= asked - f:
        return ""
    silent = asked - needed + 1
    return (
        f"A round asks {asked} clients and needs {needed} replies, so {silent} of the f = {f} that may lie can hold up"
        f" every round by silence. Use {_instead(spec)}."
    )


def _instead(spec: FederatedTrainingSpec) -> str:
    """The nearest values: fewer replies, else more clients asked, else fewer liars or more clients."""
    clients, f = len(spec.clients), spec.aggregation.tolerated
    rule, least = THEOREMS[spec.aggregation.rule], spec.aggregation.replies_with_select
    asked = clients_asked(spec.rounds.fraction_train, clients, 1)
    if least <= asked - f:
        return f"minReplies: {asked - f}"
    why = f"{spec.aggregation.rule} needs {least} replies ({rule.paper})"
    if least <= clients - f:
        hundredths = -(-100 * (least + f) // clients)
        return f"fractionTrain: {hundredths / 100:g} and minReplies: {least}, since {why}"
    fewer = next((lower for lower in range(f - 1, 0, -1) if _least(spec, lower) <= clients - lower), None)
    or_fewer = f"byzantine: {fewer} and minReplies: {_least(spec, fewer)}, or " if fewer is not None else ""
    everybody = "fractionTrain: 1 and " if spec.rounds.fraction_train < 1 else ""
    return f"{everybody}{or_fewer}at least {least + f} clients, since {why}"


def _least(spec: FederatedTrainingSpec, f: int) -> int:
    return spec.aggregation.model_copy(update={"byzantine": f}).replies_with_select
