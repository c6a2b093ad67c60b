"""From the books of a budget to its status: the sums and the conditions. The same books always give the same status."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from shieldwall.control.api.status import ConditionStatus
from shieldwall.control.budgets.books import limit_of, reserved_of, spent_of
from shieldwall.control.budgets.limits import limited
from shieldwall.control.budgets.loss import show
from shieldwall.control.status.certificates import Verdict
from shieldwall.control.status.conditions import timed
from shieldwall.control.status.sight import INVALID_SPEC
from shieldwall.control.status.text import MESSAGE, clip

if TYPE_CHECKING:
    from datetime import datetime

    from shieldwall.control.api.budget import PrivacyBudget
    from shieldwall.control.api.budget_status import PrivacyBudgetStatus
    from shieldwall.control.budgets.loss import Loss

EXHAUSTED: Final = "Exhausted"
HISTORY_FULL: Final = "HistoryFull"
_NOBODY: Final = "Nobody needs to step in."


def summarised(
    books: PrivacyBudgetStatus, budget: PrivacyBudget, now: datetime, stalled: str | None = None
) -> PrivacyBudgetStatus:
    """The books with their sums and conditions; ``stalled``: why another period could not be begun."""
    limit, reserved, spent = limit_of(budget), reserved_of(books), spent_of(books)
    books = limited(books, limit, now)
    verdicts = {
        "Ready": _ready(stalled),
        "Reconciling": Verdict(ConditionStatus.FALSE, "Current", "The books are up to date."),
        "Stalled": _stalled(HISTORY_FULL, stalled),
        EXHAUSTED: _exhausted(limit, reserved, spent),
    }
    return books.model_copy(
        update={
            "observed_generation": budget.generation,
            "conditions": timed(verdicts, books, budget.generation, now),
            "spent": spent.told(),
            "reserved": reserved.told(),
            "remaining": limit.less(reserved + spent).told(),
        }
    )


def refused(books: PrivacyBudgetStatus, generation: int | None, why: str, now: datetime) -> PrivacyBudgetStatus:
    """The books of a budget whose spec cannot be read: as they are, and Stalled."""
    message = clip(f"The spec cannot be acted on until this is corrected: {why}", MESSAGE)
    kept = Verdict(ConditionStatus.FALSE, INVALID_SPEC, "The books stay as they are until the spec is corrected.")
    verdicts = {
        "Ready": Verdict(ConditionStatus.FALSE, INVALID_SPEC, message),
        "Reconciling": kept,
        "Stalled": _stalled(INVALID_SPEC, message),
        EXHAUSTED: Verdict(ConditionStatus.UNKNOWN, INVALID_SPEC, kept.message),
    }
    return books.model_copy(
        update={"observed_generation": generation, "conditions": timed(verdicts, books, generation, now)}
    )


def _ready(stalled: str | None) -> Verdict:
    if stalled is not None:
        return Verdict(ConditionStatus.FALSE, HISTORY_FULL, stalled)
    return Verdict(ConditionStatus.TRUE, "Kept", "What trainings reserve and spend is kept in status.")


def _stalled(reason: str, why: str | None) -> Verdict:
    if why is None:
        return Verdict(ConditionStatus.FALSE, "Progressing", _NOBODY)
    return Verdict(ConditionStatus.TRUE, reason, why)


def _exhausted(limit: Loss, reserved: Loss, spent: Loss) -> Verdict:
    """Whether no training can get anything any more; what is merely reserved may come back."""
    held = reserved + spent
    sums = (
        f"ε = {show(spent.epsilon)} spent and {show(reserved.epsilon)} reserved of {show(limit.epsilon)};"
        f" δ = {show(spent.delta)} and {show(reserved.delta)} of {show(limit.delta)}."
    )
    if not held.fits(limit):
        return Verdict(ConditionStatus.TRUE, "OverLimit", f"The limit is below what is spent and reserved: {sums}")
    left = limit.less(held)
    if left.epsilon and left.delta:
        return Verdict(ConditionStatus.FALSE, "SomeLeft", "Something is left: status.remaining says how much.")
    reason = "Reserved" if (spent.epsilon < limit.epsilon and spent.delta < limit.delta) else "Spent"
    return Verdict(ConditionStatus.TRUE, reason, f"Nothing is left for another training: {sums}")
