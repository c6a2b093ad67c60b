"""How books begin, and how a period ends: by a change of spec.period.name and in no other way."""

from __future__ import annotations

from typing import TYPE_CHECKING

from shieldwall.control.api.budget_status import (
    MOST_PERIODS,
    PeriodRecord,
    PrivacyBudgetStatus,
    PrivacyLoss,
    ShareState,
)
from shieldwall.control.budgets.books import limit_of, spent_of
from shieldwall.control.budgets.settle import settled
from shieldwall.control.status.text import rfc3339

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from shieldwall.control.api.budget import PrivacyBudget
    from shieldwall.control.budgets.sights import Sights, TrainingSight


class FullHistoryError(Exception):
    """Another period cannot be recorded, so the one that counts is not closed."""

    def __init__(self, budget: str) -> None:
        super().__init__(
            f"status.history has no room for more than {MOST_PERIODS} periods, so {budget} goes on with the one before."
            " Make another PrivacyBudget."
        )


def opened(books: PrivacyBudgetStatus, budget: PrivacyBudget, sights: Sights, now: datetime) -> PrivacyBudgetStatus:
    """The books of the period that the spec names: begun, or with the one before closed. Raises FullHistoryError.

    Where there are none, trainings that have begun already are entered with what their own status says: the books were
    deleted. What has gone by then is in nobody's status.
    """
    if not books.opened:
        return settled(PrivacyBudgetStatus(period=budget.spec.period.name), sights(), ())
    return books if books.period == budget.spec.period.name else _next(books, budget, sights(), now)


def _next(
    books: PrivacyBudgetStatus, budget: PrivacyBudget, sights: Mapping[str, TrainingSight], now: datetime
) -> PrivacyBudgetStatus:
    """Trainings that run are carried over with all that they have reserved and spent.

    What they release from now on is bounded by the loss of the whole, and not by what is new in it. Those that are
    settled count as nothing until they spend again; then as a whole.
    """
    if len(books.history) >= MOST_PERIODS:
        raise FullHistoryError(budget.name)
    record = PeriodRecord(
        period=books.period or "",
        reason=budget.spec.period.reason,
        limit=books.limit or limit_of(budget).told(),
        spent=spent_of(books).told(),
        closed=rfc3339(now),
    )
    carried = tuple(
        share.model_copy(update={"spent": PrivacyLoss()}) if share.state is ShareState.SETTLED else share
        for share in books.trainings
        if share.state is not ShareState.SETTLED or share.uid in sights
    )
    return books.model_copy(
        update={
            "period": budget.spec.period.name,
            "trainings": carried,
            "others": None,
            "history": (*books.history, record),
        }
    )
