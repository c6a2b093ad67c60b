"""Why a training gets no part of a budget. Each is told in its status, and no pod of it is made."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from shieldwall.control.budgets.loss import show
from shieldwall.control.status.text import some

if TYPE_CHECKING:
    from collections.abc import Sequence

    from shieldwall.control.api.budget import Unit
    from shieldwall.control.budgets.loss import Loss

_WAYS: Final = (
    "Lower its privacy.epsilon or delta, wait until others end or delete those that are over, or raise the budget's"
    " limit."
)


class BudgetRefusedError(Exception):
    """A training may not start, or not go over to a spec that needs more; it is asked again when the budget changes."""

    reason: str
    """One stable CamelCase word."""


class MissingBudgetError(BudgetRefusedError):
    """There is no such budget."""

    reason = "BudgetMissing"

    def __init__(self, budget: str) -> None:
        super().__init__(f"There is no PrivacyBudget {budget}, on which this training draws. Make it.")
        self.budget = budget


class UnreadableBudgetError(BudgetRefusedError):
    """The budget's spec or its books cannot be read."""

    reason = "BudgetUnreadable"

    def __init__(self, budget: str, why: str) -> None:
        super().__init__(f"PrivacyBudget {budget} cannot be read, so nothing can be reserved in it. {why}")
        self.budget = budget
        self.why = why


class NoTargetError(BudgetRefusedError):
    """The training does not say what it may spend."""

    reason = "BudgetNeedsTarget"

    def __init__(self, training: str, budget: str) -> None:
        super().__init__(
            f"{training} draws on PrivacyBudget {budget} and does not say what it may spend. Give a privacy mode other"
            " than None, epsilon and delta."
        )
        self.budget = budget


class OtherUnitError(BudgetRefusedError):
    """The budget counts what is spent of another unit."""

    reason = "BudgetOfAnotherUnit"

    def __init__(self, training: str, spends: Unit, budget: str, unit: Unit) -> None:
        super().__init__(
            f"{training} spends the privacy of a {spends.value.lower()}; {budget} is a budget of unit {unit.value}."
            f" Refer to a budget of unit {spends.value}."
        )
        self.spends = spends
        self.unit = unit


class UncoveredDataError(BudgetRefusedError):
    """The training has clients whose data the budget is not about."""

    reason = "BudgetOfOtherData"

    def __init__(self, training: str, budget: str, clients: Sequence[str]) -> None:
        super().__init__(
            f"{budget} is not about the data of {some(clients)}, who take part in {training}. Name them in spec.data of"
            " the budget, if it is to cover them, or leave them out."
        )
        self.clients = tuple(clients)


class ExhaustedBudgetError(BudgetRefusedError):
    """Not enough is left."""

    reason = "BudgetExhausted"

    def __init__(  # noqa: PLR0913  # all that its sentence says
        self, training: str, needed: Loss, budget: str, *, limit: Loss, reserved: Loss, spent: Loss
    ) -> None:
        """``needed``: besides what the training has reserved or spent already."""
        left = limit.less(reserved + spent)
        sums = [
            f"{training} needs {symbol} = {show(need)}; {budget} has {show(rest)} of {show(most)} left: reserved"
            f" {show(held)}, spent {show(gone)}."
            for symbol, need, rest, most, held, gone in (
                ("ε", needed.epsilon, left.epsilon, limit.epsilon, reserved.epsilon, spent.epsilon),
                ("δ", needed.delta, left.delta, limit.delta, reserved.delta, spent.delta),
            )
            if need > rest
        ]
        super().__init__(f"{' '.join(sums)} {_WAYS}")
        self.needed = needed
        self.left = left


class FullBudgetError(BudgetRefusedError):
    """There is no room for another entry."""

    reason = "BudgetFull"

    def __init__(self, budget: str, most: int) -> None:
        super().__init__(f"{budget} has entries of {most} trainings, which all exist. Delete those that are over.")
        self.most = most
