"""A pass over one budget: its trainings are looked at, and what they have spent is settled."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from shieldwall.control.api.budget_status import ShareState
from shieldwall.control.budgets.refusals import MissingBudgetError, UnreadableBudgetError
from shieldwall.control.budgets.settle import settled
from shieldwall.control.cluster.errors import ApiError
from shieldwall.control.cluster.kinds import TRAINING
from shieldwall.control.report import FOREIGN, Outcome, Verdict

if TYPE_CHECKING:
    from shieldwall.control.budgets.desk import Desk
    from shieldwall.control.cluster.api import Api
    from shieldwall.control.cluster.shelf import Key
    from shieldwall.control.cluster.store import Store
    from shieldwall.control.metrics import Metrics

_LOG: Final = logging.getLogger(__name__)


class BudgetKeeper:
    """Keeps the books of budgets. Raises, from ``reconcile``, ApiError and ApiUnreachableError."""

    def __init__(self, api: Api, store: Store, desk: Desk, metrics: Metrics) -> None:
        self._api = api
        self._store = store
        self._desk = desk
        self._metrics = metrics

    async def reconcile(self, key: Key) -> Verdict:
        """One pass."""
        try:
            gone = await self._gone(key)
            budget, books = await self._desk.change(key, lambda books, _, sights: settled(books, sights(), gone))
        except MissingBudgetError:
            self._metrics.budgets.forget(key)
            return Verdict(Outcome.OK)
        except UnreadableBudgetError as error:
            _LOG.warning("%s/%s: %s", *key, error)
            await self._desk.refuse(key, error.why)
            return Verdict(Outcome.STALLED, FOREIGN)
        self._metrics.budgets.saw(key, budget.spec.epsilon, books)
        return Verdict(Outcome.OK)

    async def _gone(self, key: Key) -> frozenset[str]:
        """Uids of trainings with an open share that do not exist any more. That a watch is silent proves nothing."""
        books = self._desk.books(key)
        known = {body["metadata"]["uid"] for body in self._store.trainings(key[0])}
        unseen = [
            share
            for share in (books.trainings if books is not None else ())
            if share.state is not ShareState.SETTLED and share.uid not in known
        ]
        return frozenset([share.uid for share in unseen if await self._has_gone(key[0], share.name, share.uid)])

    async def _has_gone(self, namespace: str, name: str, uid: str) -> bool:
        try:
            body = await self._api.get(TRAINING, namespace, name)
        except ApiError as error:
            if error.missing:
                return True
            raise
        return bool(body["metadata"]["uid"] != uid)
