"""Tells what a pass came to: status, metrics, events, and when to look again."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from shieldwall.control.cluster.errors import ApiError
from shieldwall.control.cluster.events import Subject
from shieldwall.control.cluster.observe import remains_of, workloads_of
from shieldwall.control.cluster.status_writer import StatusWriter
from shieldwall.control.notices import kept_out, transitions
from shieldwall.control.plan.certificates import next_deadline
from shieldwall.control.plan.names import Names
from shieldwall.control.status.previous import previous_status
from shieldwall.control.status.recount import privacy_of, recount
from shieldwall.control.status.sight import Sight, Trouble
from shieldwall.control.status.summarise import stalled_status, summarise

if TYPE_CHECKING:
    from collections.abc import Callable

    from shieldwall.control.api.status import FederatedTrainingStatus
    from shieldwall.control.api.training import Training
    from shieldwall.control.cases import Case
    from shieldwall.control.cluster.api import Api, Json
    from shieldwall.control.cluster.events import Recorder
    from shieldwall.control.cluster.store import Key, Store
    from shieldwall.control.metrics import Metrics
    from shieldwall.control.plan.settings import PlanSettings
    from shieldwall.control.planner import Planned
    from shieldwall.control.status.recount import Recount
    from shieldwall.control.steward.sight import StewardSight
    from shieldwall.control.stewards import Stewards

FOREIGN: Final = timedelta(seconds=30)
"""How long what is somebody else's to put right is left before another look."""
_SOON: Final = timedelta(seconds=2)
_STALE: Final = timedelta(seconds=30)
_LEAST_WAIT: Final = timedelta(seconds=1)


class Outcome(StrEnum):
    """How a pass ended; labels of a metric."""

    OK = "ok"
    RETRY = "retry"
    STALLED = "stalled"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a pass came to."""

    outcome: Outcome
    again: timedelta | None = None
    """When to look again even if nothing happens."""


class Reporter:
    """Writes statuses, and what goes with them. Raises ApiError and ApiUnreachableError."""

    def __init__(  # noqa: PLR0913  # everything it works with, all named
        self,
        *,
        api: Api,
        store: Store,
        recorder: Recorder,
        stewards: Stewards,
        metrics: Metrics,
        settings: PlanSettings,
        clock: Callable[[], datetime],
        unmended: Callable[[Key], Trouble | None],
    ) -> None:
        self._statuses = StatusWriter(api)
        self._store = store
        self._recorder = recorder
        self._stewards = stewards
        self._metrics = metrics
        self._settings = settings
        self._clock = clock
        self._unmended = unmended

    async def tell(
        self, case: Case, known: Planned, *, trouble: Trouble | None = None, retrying: Trouble | None = None
    ) -> Verdict:
        """Write what a pass saw: ``trouble`` waits for a human, ``retrying`` goes by itself."""
        training, observed = case.training, known.observed
        workloads = workloads_of(self._store.owned(case.key))
        # Of a training without pods nothing is open yet: what is refused is told as what is tried again.
        trouble = trouble or (self._unmended(case.key) if workloads else None)
        server = workloads.get(Names(training.name).server)
        self._stewards.follow(training, observed, running=server is not None and server.ready > 0)
        steward = self._stewards.sight(case.key)
        counted, now = await _recounted(training, steward), self._clock()
        sight = Sight(
            training=training,
            now=now,
            plan=known.plan,
            outline=known.outline,
            observed=observed,
            workloads=workloads,
            policies=self._store.policies.get(case.key[0], ()),
            steward=steward,
            recount=counted,
            trouble=_with(case.refused, trouble),
            retrying=retrying,
            previous=previous_status(case.body.get("status")),
        )
        calm = trouble is None and retrying is None
        if calm and self._stewards.settling(case.key, now) and _told(sight):
            return Verdict(Outcome.OK, _SOON)  # what stands is better than what is not known yet
        status = summarise(sight)
        self._metrics.saw(case.key, sight, status)
        await self._write(case.key, case.body, status, now)
        return self._verdict(sight)

    async def refuse(self, key: Key, body: Json, trouble: Trouble) -> Verdict:
        """Write that a spec cannot be acted on, and that nothing is known by which to keep what there is."""
        now = self._clock()
        status = stalled_status(previous_status(body.get("status")), body["metadata"].get("generation"), trouble, now)
        remains = remains_of(key[1], body["metadata"]["uid"], self._store.owned(key))
        self._metrics.stalled(key, status, remains)
        await self._write(key, body, status, now)
        return Verdict(Outcome.STALLED)

    def _verdict(self, sight: Sight) -> Verdict:
        deadline = next_deadline(sight.training, self._settings, sight.observed, sight.now)
        again = [max(deadline - sight.now, _LEAST_WAIT)] if deadline is not None else []
        if sight.retrying is not None:
            return Verdict(Outcome.RETRY, _SOON)
        if sight.trouble is not None:
            return Verdict(Outcome.STALLED, min([*again, FOREIGN]))
        if sight.steward is not None and not sight.steward.reachable:
            again.append(_STALE)  # what it said grows old
        return Verdict(Outcome.OK, min(again, default=None))

    async def _write(self, key: Key, body: Json, status: FederatedTrainingStatus, now: datetime) -> None:
        """Write what differs from what stands; nothing when nothing does."""
        wanted = status.model_dump(mode="json", by_alias=True, exclude_none=True)
        if self._statuses.writable(wanted, now) == (body.get("status") or {}):
            return
        metadata = {"namespace": key[0], "name": key[1], "uid": body["metadata"]["uid"]}
        try:
            answer = await self._statuses.write(metadata, wanted, now)
        except ApiError as error:
            if error.missing or error.conflict:  # it has gone, or is another of the same name
                return
            raise
        self._store.put_training(answer)
        subject, before = Subject(*key, body["metadata"]["uid"]), previous_status(body.get("status"))
        for what in (*transitions(before, status), *kept_out(before, status)):
            await self._recorder.record(subject, what, now)


async def _recounted(training: Training, steward: StewardSight | None) -> Recount | None:
    """Apart from everybody else's work: where there is sampling it takes a while, once for each record."""
    told = privacy_of(steward)
    return await asyncio.to_thread(recount, training.spec, told.privacy) if told is not None else None


def _with(refused: Trouble | None, trouble: Trouble | None) -> Trouble | None:
    """Both in one: an invalid spec is told whatever else there is."""
    if refused is None or trouble is None:
        return refused or trouble
    return Trouble(refused.reason, f"{refused.message} Besides, {trouble.reason}: {trouble.message}")


def _told(sight: Sight) -> bool:
    """Whether the status that stands is about this generation."""
    return sight.previous is not None and sight.previous.observed_generation == sight.training.generation
