"""What trainings release is moved from reserved to spent, and what they did not need is returned at their end."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING, Final

from shieldwall.contract.records import Phase
from shieldwall.control.api.budget_status import End, PrivacyLoss, Share, ShareState
from shieldwall.control.budgets.loss import Loss, exact

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from shieldwall.control.api.budget_status import PrivacyBudgetStatus
    from shieldwall.control.budgets.sights import TrainingSight

_ENDS: Final = {Phase.COMPLETED.value: End.COMPLETED, Phase.FAILED.value: End.FAILED}


def settled(
    books: PrivacyBudgetStatus, sights: Mapping[str, TrainingSight], gone: Collection[str]
) -> PrivacyBudgetStatus:
    """The books after a look at the trainings. What is neither seen nor known to have gone stays as it is.

    ``sights``, by uid, are of the trainings that exist; ``gone`` of those that were looked for and exist no more.
    """
    kept = []
    for share in books.trainings:
        if share.uid in sights:
            kept.append(_followed(share, sights[share.uid]))
        elif share.uid not in gone:
            kept.append(share)
        elif share.state is not ShareState.RESERVED:  # else no pod of it was ever made
            kept.append(_left(share))
    known = {share.uid for share in books.trainings}
    unknown = (sight for uid, sight in sorted(sights.items()) if uid not in known and sight.begun)
    return books.model_copy(update={"trainings": (*kept, *(_entered(sight) for sight in unknown))})


def _entered(sight: TrainingSight) -> Share:
    """What may spend is counted, whatever is left: its entry, or all books, were deleted after it began."""
    share = Share(
        name=sight.name,
        uid=sight.uid,
        generation=sight.generation,
        state=ShareState.SETTLING,
        reserved=sight.target.told(),
        spent=PrivacyLoss(),
    )
    return _followed(share, sight)


def _followed(share: Share, sight: TrainingSight) -> Share:
    share = _released(share, sight)
    if share.state is ShareState.SETTLED:
        return share
    # Its own word about an older spec is no end of this one.
    told = sight.observed_generation >= share.generation and sight.epsilon is not None
    share = share.model_copy(
        update={
            "ended": _ENDS.get(sight.phase) if told else None,
            "state": ShareState.SETTLING if sight.begun else share.state,
        }
    )
    # A steward that runs until its pod is replaced may say Completed of fewer rounds than are wanted by now.
    done = share.ended is End.COMPLETED and sight.rounds is not None and sight.round >= sight.rounds
    if not done or share.state is not ShareState.SETTLING:
        return share
    generation = max(share.generation, sight.generation)
    return share.model_copy(update={"state": ShareState.SETTLED, "reserved": PrivacyLoss(), "generation": generation})


def _released(share: Share, sight: TrainingSight) -> Share:
    """Move what was released since the last look. Spent never decreases, whatever the training says.

    What a ledger that was lost had told of stays spent, and may be spent once more by the one that began anew: as much
    is reserved again. Where nothing of this period was counted yet, all is that was ever spent: what was released
    lately is not bounded by what is new in the sum.
    """
    share = share.model_copy(update={"round": max(share.round, sight.round)})
    spent, reserved = Loss.read(share.spent), Loss.read(share.reserved)
    known, lost = (exact(share.ledger), Loss.read(share.lost)) if spent.epsilon else (Fraction(0), Loss())
    shown = exact(sight.epsilon or 0.0)
    if shown <= exact(share.ledger):
        return share
    again = reserved + sight.lost.less(lost)
    moved = Loss(shown - known, again.delta)  # all of delta with the first release
    over = share.state is ShareState.SETTLED
    return share.model_copy(
        update={
            "ledger": sight.epsilon,
            "lost": sight.lost.told(),
            "spent": (spent + moved).told(),
            "reserved": PrivacyLoss() if over else again.less(moved).told(),
        }
    )


def _left(share: Share) -> Share:
    """It has gone. Whose end nobody saw may have spent all that it had reserved.

    So may one that failed: what the aggregator of its last run spent before it died was told to nobody.
    """
    if share.state is ShareState.SETTLED:
        return share
    over = {"state": ShareState.SETTLED, "reserved": PrivacyLoss()}
    if share.ended is End.COMPLETED:
        return share.model_copy(update=over)
    spent = (Loss.read(share.spent) + Loss.read(share.reserved)).told()
    return share.model_copy(update={**over, "spent": spent, "ended": share.ended or End.VANISHED})
