"""Asks for a training's part of its budget: before its spec is acted on, and before its first pod is made."""

from __future__ import annotations

from typing import TYPE_CHECKING

from shieldwall.control.api.budget_status import ShareState
from shieldwall.control.budgets.books import begun, claimed, share_of
from shieldwall.control.budgets.claims import claim_of
from shieldwall.control.budgets.refusals import BudgetRefusedError
from shieldwall.control.cluster.errors import HeldError
from shieldwall.control.status.sight import Trouble

if TYPE_CHECKING:
    from shieldwall.control.api.training import Training
    from shieldwall.control.budgets.desk import Desk


class NothingReservedError(HeldError):
    """Pods would be made of a training that has no part of its budget."""

    reason = "BudgetMissing"

    def __init__(self, budget: str) -> None:
        super().__init__(f"Nothing is reserved in PrivacyBudget {budget}, so no pod was made.")
        self.budget = budget


class Clerk:
    """Speaks for trainings. Raises ApiError and ApiUnreachableError."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    async def claim(self, training: Training) -> Trouble | None:
        """Have all reserved that the training may spend; why not, if it cannot be.

        One that draws on no budget needs nothing, and neither does one that is suspended.
        """
        if training.spec.suspend:
            return None
        try:
            claim = claim_of(training)
            if claim is not None:
                await self._desk.change(
                    claim.budget, lambda books, budget, sights: claimed(books, budget, claim, sights)
                )
        except BudgetRefusedError as error:
            return Trouble(error.reason, str(error))
        return None

    async def begin(self, training: Training, *, runs: bool) -> None:
        """Note that pods are about to be made, so that from now on its reservation may have been spent.

        Args:
            training: as it is acted on.
            runs: whether it has workloads already: what runs is kept, though its budget has gone.

        Raises:
            NothingReservedError: it has no part of its budget, and does not run.
        """
        privacy = training.spec.privacy
        if privacy is None or privacy.budget_ref is None or training.spec.suspend:
            return
        key, uid = (training.namespace, privacy.budget_ref), training.uid or ""
        books = self._desk.books(key)
        share = share_of(books, uid) if books is not None else None
        if share is None:
            if not runs:
                raise NothingReservedError(privacy.budget_ref)
        elif share.state is ShareState.RESERVED:
            _, books = await self._desk.change(key, lambda books, *_: begun(books, uid))
            if share_of(books, uid) is None:  # taken out meanwhile, by another operator to which it had gone
                raise NothingReservedError(privacy.budget_ref)
