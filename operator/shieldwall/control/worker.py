"""Works on the queue while this replica leads: a list of everything first, then pass after pass."""

from __future__ import annotations

import asyncio
import logging
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

from shieldwall.control.cluster.errors import ApiError, ApiUnreachableError
from shieldwall.control.report import Outcome

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from shieldwall.control.cluster.listing import Lister
    from shieldwall.control.cluster.store import Key
    from shieldwall.control.metrics import Metrics
    from shieldwall.control.report import Verdict
    from shieldwall.control.workqueue import WorkQueue

_LOG: Final = logging.getLogger(__name__)
_PAUSE: Final = 2.0


class Passes(Protocol):
    """Whoever makes passes over objects of one kind."""

    async def reconcile(self, key: Key) -> Verdict:
        """One pass."""


@dataclass(frozen=True, slots=True)
class Line:
    """A queue besides that of the trainings, worked on one key at a time."""

    queue: WorkQueue[Key]
    passes: Passes
    everything: Callable[[], Iterable[Key]]
    """All that there are, once everything was listed."""


class Worker:
    """The acting half of the operator."""

    def __init__(  # noqa: PLR0913  # what it works with
        self,
        queue: WorkQueue[Key],
        reconciler: Passes,
        lister: Lister,
        metrics: Metrics,
        *,
        workers: int,
        relist_seconds: float,
        beside: Iterable[Line] = (),
    ) -> None:
        self._queue = queue
        self._reconciler = reconciler
        self._lister = lister
        self._metrics = metrics
        self._workers = workers
        self._relist_seconds = relist_seconds
        self._beside = tuple(beside)
        self.synced = asyncio.Event()
        """Set once everything was listed."""

    async def run(self) -> None:
        """Work until cancelled."""
        self._metrics.leads(True)
        try:
            await self._list()  # an empty store never means that nothing is there
            self.synced.set()
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._relist())
                for _ in range(self._workers):
                    tasks.create_task(self._work(self._queue, self._reconciler))
                for line in self._beside:
                    tasks.create_task(self._work(line.queue, line.passes))
        finally:
            self._metrics.leads(False)

    async def stand_by(self) -> None:
        """While another replica leads, until cancelled: hold what there is, and nothing of what there was.

        Whoever begins to lead looks at everything, so that nothing has to wait in a queue for that.
        """
        while True:
            await self._lister.due(self._relist_seconds)
            await self._listed()
            for queue in (self._queue, *(line.queue for line in self._beside)):
                queue.clear()

    async def _list(self) -> None:
        """List everything, and put all trainings into the queue."""
        for key in await self._listed():
            self._queue.add(key)
        for line in self._beside:
            for key in line.everything():
                line.queue.add(key)

    async def _listed(self) -> frozenset[Key]:
        """List everything, however long it takes."""
        while True:
            try:
                return await self._lister.everything()
            except (ApiError, ApiUnreachableError) as error:
                _LOG.warning("the cluster could not be listed: %s", error)
                await asyncio.sleep(_PAUSE)

    async def _relist(self) -> None:
        while True:
            await self._lister.due(self._relist_seconds)
            await self._list()

    async def _work(self, queue: WorkQueue[Key], passes: Passes) -> None:
        while True:
            await self._pass(queue, passes, await queue.get())

    async def _pass(self, queue: WorkQueue[Key], passes: Passes, key: Key) -> None:
        """One pass. Whatever goes wrong costs this training a wait, and no other anything."""
        began = time.monotonic()
        outcome = Outcome.RETRY
        try:
            verdict = await passes.reconcile(key)
        except asyncio.CancelledError:
            queue.done(key)
            raise
        except (ApiError, ApiUnreachableError) as error:
            wait = queue.failed(key)
            _LOG.warning("%s/%s: %s; again in %.1f s", *key, error, wait)
        except Exception:  # noqa: BLE001  # one training must not stop the others
            wait = queue.failed(key)
            _LOG.exception("%s/%s: a mistake of ours; again in %.1f s", *key, wait)
        else:
            outcome = verdict.outcome
            if outcome is Outcome.RETRY:
                queue.failed(key)
            else:
                queue.done(key, verdict.again.total_seconds() if verdict.again is not None else None)
        self._metrics.reconcile.labels(outcome).observe(time.monotonic() - began)
