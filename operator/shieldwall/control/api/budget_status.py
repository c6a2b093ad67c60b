"""status of a PrivacyBudget: its books. Nothing else remembers what was reserved and spent."""

from enum import StrEnum
from typing import Annotated, Final

from pydantic import Field

from shieldwall.control.api.fields import ApiModel, Sentence
from shieldwall.control.api.status.condition import Conditions, SeenGeneration
from shieldwall.control.api.status.words import Count, Time, Word

MOST_TRAININGS: Final = 200
"""Trainings with an entry of their own."""
MOST_PERIODS: Final = 100
MOST_LIMITS: Final = 100
"""Changes of the limit with a record of their own."""


class ShareState(StrEnum):
    """Where a training's part of the budget is."""

    RESERVED = "Reserved"
    """No pod of it was made yet: if it goes now, it has spent nothing."""
    SETTLING = "Settling"
    """Its pods may run: what it releases is moved from reserved to spent."""
    SETTLED = "Settled"
    """It spends no more."""


class End(StrEnum):
    """How a training ended, as far as that was seen."""

    COMPLETED = "Completed"
    FAILED = "Failed"
    """When it is deleted, all that it had reserved counts as spent: its last run may have ended without a word."""
    VANISHED = "Vanished"
    """It was deleted, and nobody had seen how it ended: all that it had reserved counts as spent."""


class PrivacyLoss(ApiModel):
    """A loss of privacy: (epsilon, delta)."""

    epsilon: Annotated[float, Field(ge=0)] = 0.0
    """The sum of epsilons."""
    delta: Annotated[float, Field(ge=0)] = 0.0
    """The sum of deltas."""


class Share(ApiModel):
    """One training's part of the budget."""

    name: Word
    """Name of the training."""
    uid: Word
    """uid of the training: another one of its name has its own entry."""
    generation: Count = 0
    """The generation of the training's spec that the reservation is for."""
    state: ShareState
    """Reserved before its pods are made, Settling while they may run, Settled when it spends no more."""
    reserved: PrivacyLoss
    """What it may still spend."""
    spent: PrivacyLoss
    """What it has spent, as it was released."""
    ledger: Annotated[float, Field(ge=0)] = 0.0
    """status.privacy.epsilonSpent of the training, as it is counted in spent."""
    lost: PrivacyLoss = PrivacyLoss()
    """What its ledgers that were lost had told of, as it is counted in spent: it is not what its target allows."""
    round: Count = 0
    """The last round that it was seen to have released."""
    ended: End | None = None
    """How it ended: Completed, Failed, or Vanished when it was deleted before its end was seen. Unless that was
    Completed, all of its reservation counts as spent once it is deleted."""


class Others(ApiModel):
    """Trainings of this period that have gone and have no entry any more, for want of room."""

    trainings: Count = 0
    """How many."""
    spent: PrivacyLoss = PrivacyLoss()
    """What they have spent."""


class PeriodRecord(ApiModel):
    """A period that was closed."""

    period: Word
    """Its name."""
    reason: Sentence | None = None
    """Why it was closed: spec.period.reason at that time."""
    limit: PrivacyLoss
    """What might have been spent."""
    spent: PrivacyLoss
    """What was spent in it. What trainings that ran on had spent is in here and counts in the next period again."""
    closed: Time
    """When it was closed."""


class LimitRecord(ApiModel):
    """A change of what may be spent. Who made it is in the audit log of the API server."""

    before: PrivacyLoss
    """The limit until then."""
    after: PrivacyLoss
    """The limit from then on."""
    changed: Time
    """When the operator saw it."""


class PrivacyBudgetStatus(ApiModel):
    """What was reserved and spent. Never edit or delete it: what has gone from it can be found nowhere else."""

    observed_generation: SeenGeneration | None = None
    """The generation of the spec that this status is about; -1 before the operator has seen the budget."""
    conditions: Conditions = ()
    """Ready, Reconciling, Stalled (kstatus) and Exhausted."""
    period: Word | None = None
    """The period that the sums are of."""
    limit: PrivacyLoss | None = None
    """What may be spent in this period: spec.epsilon and spec.delta, as the operator saw them last."""
    spent: PrivacyLoss | None = None
    """What was spent in this period."""
    reserved: PrivacyLoss | None = None
    """What trainings that run may still spend."""
    remaining: PrivacyLoss | None = None
    """What is left for others: the limit less what is spent and reserved."""
    trainings: Annotated[
        tuple[Share, ...],
        Field(
            max_length=MOST_TRAININGS,
            json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["uid"]},
        ),
    ] = ()
    """Each training's part."""
    others: Others | None = None
    """Trainings of this period without an entry of their own."""
    history: Annotated[
        tuple[PeriodRecord, ...],
        Field(max_length=MOST_PERIODS, json_schema_extra={"x-kubernetes-list-type": "atomic"}),
    ] = ()
    """The periods that were closed, the first of them first."""
    limits: Annotated[
        tuple[LimitRecord, ...],
        Field(max_length=MOST_LIMITS, json_schema_extra={"x-kubernetes-list-type": "atomic"}),
    ] = ()
    """The changes of the limit, over all periods, the first of them first."""

    @property
    def opened(self) -> bool:
        """Whether there are books: not before the operator has seen the budget, or after its status was deleted."""
        return self.period is not None
