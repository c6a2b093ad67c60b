"""Which events a change of the books is worth. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from shieldwall.control.api.budget_status import End, PrivacyBudgetStatus, ShareState
from shieldwall.control.api.status import ConditionStatus
from shieldwall.control.budgets.books import share_of
from shieldwall.control.budgets.loss import Loss, show
from shieldwall.control.budgets.summary import EXHAUSTED
from shieldwall.control.cluster.events import Occurrence
from shieldwall.control.status.text import some

if TYPE_CHECKING:
    from collections.abc import Iterator

    from shieldwall.control.api.budget_status import Share


def occurrences(before: PrivacyBudgetStatus, after: PrivacyBudgetStatus) -> list[Occurrence]:
    """One for each thing that happened; sums that merely grow are no news."""
    return [*_periods(before, after), *_limits(before, after), *_shares(before, after), *_conditions(before, after)]


def _periods(before: PrivacyBudgetStatus, after: PrivacyBudgetStatus) -> Iterator[Occurrence]:
    known = {share.uid for share in before.trainings}
    entered = [share for share in after.trainings if share.uid not in known and share.state is not ShareState.RESERVED]
    if entered:
        names = some([share.name for share in entered])
        what = "an entry" if before.opened else "any books"
        note = (
            f"{names} had begun without {what} in status, and is counted by what its own status says. Somebody has"
            " deleted them, or the budget: what deleted trainings had spent, and earlier periods, are lost unless there"
            " is a copy."
        )
        yield Occurrence("BudgetRebuilt", "Rebuild", note, "Warning", facts=" ".join(share.uid for share in entered))
    for record in after.history[len(before.history) :]:
        note = (
            f"Period {record.period} was closed with ε = {show(Loss.read(record.spent).epsilon)} of"
            f" {show(Loss.read(record.limit).epsilon)} spent, and {after.period} begun: {record.reason}"
        )
        yield Occurrence("PeriodClosed", "ClosePeriod", note, facts=record.closed)


def _limits(before: PrivacyBudgetStatus, after: PrivacyBudgetStatus) -> Iterator[Occurrence]:
    """A higher limit gives away more of the same data than was promised, so it is a warning."""
    if before.limit is None or before.limit == after.limit:
        return
    was, now = Loss.read(before.limit), Loss.read(after.limit)
    note = (
        f"The limit was ε = {show(was.epsilon)}, δ = {show(was.delta)} and is ε = {show(now.epsilon)},"
        f" δ = {show(now.delta)} now."
    )
    yield Occurrence("LimitChanged", "ChangeLimit", note, "Normal" if now.fits(was) else "Warning")


def _shares(before: PrivacyBudgetStatus, after: PrivacyBudgetStatus) -> Iterator[Occurrence]:
    for share in after.trainings:
        yield from _share(share_of(before, share.uid), share)
    for share in before.trainings:
        if share.state is ShareState.RESERVED and share_of(after, share.uid) is None:
            note = f"{share.name} was deleted before any pod of it was made: {_loss(share)} returned."
            yield Occurrence("ReservationReturned", "Return", note, facts=share.uid)


def _share(before: Share | None, share: Share) -> Iterator[Occurrence]:
    if before is None and share.state is ShareState.RESERVED:
        yield Occurrence("Reserved", "Reserve", f"{share.name} reserved {_loss(share)}.", facts=share.uid)
    if before is None or share.state is before.state or share.state is not ShareState.SETTLED:
        return
    spent = show(Loss.read(share.spent).epsilon)
    if share.ended is not End.COMPLETED:
        why = "before its end was seen" if share.ended is End.VANISHED else "after it had failed"
        note = f"{share.name} was deleted {why}: all that it had reserved counts as spent, ε = {spent}."
        yield Occurrence("SpendingUnknown", "Settle", note, "Warning", facts=share.uid)
    else:
        yield Occurrence("Settled", "Settle", f"{share.name} is over and has spent ε = {spent}.", facts=share.uid)


def _loss(share: Share) -> str:
    reserved = Loss.read(share.reserved)
    return f"ε = {show(reserved.epsilon)}, δ = {show(reserved.delta)}"


def _conditions(before: PrivacyBudgetStatus, after: PrivacyBudgetStatus) -> Iterator[Occurrence]:
    """A warning for what became true and should not be."""
    known = {each.type: each for each in before.conditions}
    for condition in after.conditions:
        was = known.get(condition.type)
        new = was is None or (was.status, was.reason) != (condition.status, condition.reason)
        if condition.type in {"Stalled", EXHAUSTED} and condition.status is ConditionStatus.TRUE and new:
            reason = "BudgetExhausted" if condition.type == EXHAUSTED else condition.reason
            yield Occurrence(reason, condition.type, condition.message, "Warning")
