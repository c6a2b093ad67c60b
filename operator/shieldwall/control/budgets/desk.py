"""Where books are changed: read, decide, and replace the status if nobody else has in between.

The compare-and-swap is the only lock there is: two operators, or two trainings at once, each decide on books that hold
what the other has reserved, or are made to look again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from shieldwall.control.api.budget_parse import parse_budget
from shieldwall.control.api.problems import InvalidBudgetError
from shieldwall.control.budgets.notices import occurrences
from shieldwall.control.budgets.observe import sights_in
from shieldwall.control.budgets.periods import FullHistoryError, opened
from shieldwall.control.budgets.reading import UnreadableBooksError, books_of, status_of
from shieldwall.control.budgets.refusals import MissingBudgetError, UnreadableBudgetError
from shieldwall.control.budgets.summary import refused, summarised
from shieldwall.control.cluster.errors import ApiError
from shieldwall.control.cluster.events import Subject
from shieldwall.control.cluster.kinds import BUDGET
from shieldwall.control.cluster.live import STATUS_MANAGER

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from shieldwall.control.api.budget import PrivacyBudget
    from shieldwall.control.api.budget_status import PrivacyBudgetStatus
    from shieldwall.control.budgets.sights import Sights, TrainingSight
    from shieldwall.control.cluster.api import Api, Json
    from shieldwall.control.cluster.events import Recorder
    from shieldwall.control.cluster.shelf import Key
    from shieldwall.control.cluster.store import Store

    Decision = Callable[[PrivacyBudgetStatus, PrivacyBudget, Sights], PrivacyBudgetStatus]
    """From the books, the budget and the trainings that draw on it to the books as they are to be."""

_TRIES: Final = 10


class Desk:
    """Changes the books of budgets.

    Raises, from each method, ApiError (a conflict when others were faster ten times) and ApiUnreachableError.
    """

    def __init__(self, api: Api, store: Store, recorder: Recorder, clock: Callable[[], datetime]) -> None:
        self._api = api
        self._store = store
        self._recorder = recorder
        self._clock = clock

    def books(self, key: Key) -> PrivacyBudgetStatus | None:
        """The books as they were last seen; None where there are none that can be read."""
        body = self._store.budgets.get(key)
        try:
            return books_of(body) if body is not None else None
        except UnreadableBooksError:
            return None

    async def change(self, key: Key, decide: Decision) -> tuple[PrivacyBudget, PrivacyBudgetStatus]:
        """Bring the books to what ``decide`` says, and return both; nothing is written where they are so already.

        ``decide`` is asked again when somebody else was faster. Raises BudgetRefusedError: what ``decide`` raises,
        MissingBudgetError or UnreadableBudgetError.
        """
        body = self._store.budgets.get(key)
        for _ in range(_TRIES):
            if body is None or "deletionTimestamp" in body["metadata"]:
                raise MissingBudgetError(key[1])
            budget, before = self._read(key, body)
            after = self._decided(key, budget, before, decide)
            if await self._written(body, before, after):
                return budget, after
            body = await self._look(key)
        raise ApiError(409, "Conflict", f"PrivacyBudget {key[0]}/{key[1]} was changed {_TRIES} times meanwhile")

    async def refuse(self, key: Key, why: str) -> None:
        """Say in the status that the spec cannot be read. Books that cannot be read themselves are left alone."""
        body, books = self._store.budgets.get(key), self.books(key)
        if body is not None and books is not None:
            generation = body["metadata"].get("generation")
            await self._written(body, books, refused(books, generation, why, self._clock()))

    @staticmethod
    def _read(key: Key, body: Json) -> tuple[PrivacyBudget, PrivacyBudgetStatus]:
        try:
            return parse_budget(body), books_of(body)
        except (InvalidBudgetError, UnreadableBooksError) as error:
            raise UnreadableBudgetError(key[1], str(error)) from error

    def _decided(
        self, key: Key, budget: PrivacyBudget, before: PrivacyBudgetStatus, decide: Decision
    ) -> PrivacyBudgetStatus:
        def sights() -> dict[str, TrainingSight]:
            return sights_in(self._store, key)

        now, stalled, books = self._clock(), None, before
        try:
            books = opened(before, budget, sights, now)
        except FullHistoryError as error:
            stalled = str(error)
        return summarised(decide(books, budget, sights), budget, now, stalled)

    async def _written(self, body: Json, before: PrivacyBudgetStatus, after: PrivacyBudgetStatus) -> bool:
        """Whether the status stands; False when somebody else has changed the budget in between."""
        status = status_of(after)
        if status == (body.get("status") or {}):
            return True
        try:
            document = {**body, "status": status}
            answer = await self._api.replace(BUDGET, document, STATUS_MANAGER, subresource="status")
        except ApiError as error:
            if error.conflict or error.missing:
                return False
            raise
        self._store.budgets.put(answer)
        metadata = body["metadata"]
        subject = Subject(metadata["namespace"], metadata["name"], metadata["uid"], BUDGET)
        for what in occurrences(before, after):
            await self._recorder.record(subject, what, self._clock())
        return True

    async def _look(self, key: Key) -> Json | None:
        """The budget as it is now: the watch may not have told yet."""
        try:
            body = await self._api.get(BUDGET, *key)
        except ApiError as error:
            if error.missing:
                return None
            raise
        self._store.budgets.put(body)
        return body
