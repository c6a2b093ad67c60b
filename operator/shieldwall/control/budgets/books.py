"""The books of one budget, as pure functions on its status: what is reserved before a training starts.

Sums are by basic composition: a budget's loss is at most the sum of its trainings' losses, whatever they release.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from shieldwall.control.api.budget_status import MOST_TRAININGS, Others, PrivacyLoss, Share, ShareState
from shieldwall.control.budgets.loss import Loss, total
from shieldwall.control.budgets.refusals import (
    ExhaustedBudgetError,
    FullBudgetError,
    OtherUnitError,
    UncoveredDataError,
)

if TYPE_CHECKING:
    from shieldwall.control.api.budget import PrivacyBudget
    from shieldwall.control.api.budget_status import PrivacyBudgetStatus
    from shieldwall.control.budgets.claims import Claim
    from shieldwall.control.budgets.sights import Sights


def limit_of(budget: PrivacyBudget) -> Loss:
    """What may be spent in a period."""
    return Loss.of(budget.spec.epsilon, budget.spec.delta)


def spent_of(books: PrivacyBudgetStatus) -> Loss:
    """What was spent in this period."""
    others = Loss.read(books.others.spent) if books.others is not None else Loss()
    return total(Loss.read(share.spent) for share in books.trainings) + others


def reserved_of(books: PrivacyBudgetStatus) -> Loss:
    """What may still be spent of what was reserved."""
    return total(Loss.read(share.reserved) for share in books.trainings)


def share_of(books: PrivacyBudgetStatus, uid: str) -> Share | None:
    """A training's part; None when it has none."""
    return next((share for share in books.trainings if share.uid == uid), None)


def with_share(books: PrivacyBudgetStatus, share: Share) -> PrivacyBudgetStatus:
    """The books with the part as given, in place of the one before it or at the end."""
    if share_of(books, share.uid) is None:
        return books.model_copy(update={"trainings": (*books.trainings, share)})
    kept = tuple(share if each.uid == share.uid else each for each in books.trainings)
    return books.model_copy(update={"trainings": kept})


def claimed(books: PrivacyBudgetStatus, budget: PrivacyBudget, claim: Claim, sights: Sights) -> PrivacyBudgetStatus:
    """The books with all reserved that the training may spend, besides what it has reserved or spent already.

    What was reserved once is never taken back for a lower target: pods may still go by the one before.
    Raises OtherUnitError, UncoveredDataError, ExhaustedBudgetError or FullBudgetError: nothing can be reserved.
    """
    _require_fit(budget, claim)
    known = share_of(books, claim.uid)
    if known is None:
        books = _with_room(books, budget, sights)
        known = Share(
            name=claim.training,
            uid=claim.uid,
            state=ShareState.RESERVED,
            reserved=PrivacyLoss(),
            spent=PrivacyLoss(),
        )
    elif known.state is ShareState.SETTLED:
        if claim.generation <= known.generation:
            return books
        if known.round >= claim.rounds:  # another spec, and still nothing to be released
            return with_share(books, known.model_copy(update={"generation": claim.generation}))
        known = known.model_copy(update={"state": ShareState.SETTLING})
    held = Loss.read(known.reserved) + Loss.read(known.spent).less(Loss.read(known.lost))
    needed = claim.target.less(held)
    _require_room(books, budget, claim, needed)
    newer = claim.generation > known.generation
    return with_share(
        books,
        known.model_copy(
            update={
                "reserved": (Loss.read(known.reserved) + needed).told(),
                "generation": max(claim.generation, known.generation),
                "ended": None if newer else known.ended,
            }
        ),
    )


def begun(books: PrivacyBudgetStatus, uid: str) -> PrivacyBudgetStatus:
    """The books when the first pod of a training is about to be made: from now on it may spend what it has reserved."""
    share = share_of(books, uid)
    if share is None or share.state is not ShareState.RESERVED:
        return books
    return with_share(books, share.model_copy(update={"state": ShareState.SETTLING}))


def _require_fit(budget: PrivacyBudget, claim: Claim) -> None:
    if claim.unit is not budget.spec.unit:
        raise OtherUnitError(claim.training, claim.unit, budget.name, budget.spec.unit)
    covered = frozenset(budget.spec.data)
    if stray := [client for client in claim.clients if client not in covered]:
        raise UncoveredDataError(claim.training, budget.name, stray)


def _require_room(books: PrivacyBudgetStatus, budget: PrivacyBudget, claim: Claim, needed: Loss) -> None:
    limit, reserved, spent = limit_of(budget), reserved_of(books), spent_of(books)
    if not needed.fits(limit.less(reserved + spent)):
        raise ExhaustedBudgetError(claim.training, needed, budget.name, limit=limit, reserved=reserved, spent=spent)


def _with_room(books: PrivacyBudgetStatus, budget: PrivacyBudget, sights: Sights) -> PrivacyBudgetStatus:
    """Room for one more entry: the first that is settled, and whose training has gone, goes to the others."""
    if len(books.trainings) < MOST_TRAININGS:
        return books
    living = sights()
    old = next(
        (share for share in books.trainings if share.state is ShareState.SETTLED and share.uid not in living), None
    )
    if old is None:
        raise FullBudgetError(budget.name, MOST_TRAININGS)
    before = books.others or Others()
    others = Others(trainings=before.trainings + 1, spent=(Loss.read(before.spent) + Loss.read(old.spent)).told())
    kept = tuple(share for share in books.trainings if share is not old)
    return books.model_copy(update={"trainings": kept, "others": others})
