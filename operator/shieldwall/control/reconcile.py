"""One level-triggered pass over one training: read everything, plan purely, write what differs, tell what was seen."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from shieldwall.control.api.parse import parse_training
from shieldwall.control.api.problems import InvalidTrainingError
from shieldwall.control.cluster.errors import ApiError, HeldError, LeavingObjectError, OtherOperatorError
from shieldwall.control.cluster.events import Subject
from shieldwall.control.cluster.holds import Holds
from shieldwall.control.cluster.kinds import SECRET
from shieldwall.control.cluster.nudge import nudge
from shieldwall.control.cluster.observe import WORKLOADS, workloads_of
from shieldwall.control.cluster.status_writer import StatusWriter
from shieldwall.control.issuing.trust import trust_due, trust_of
from shieldwall.control.notices import authority_replaced, issued, kept_out, repaired, transitions
from shieldwall.control.plan.certificates import entries_of, next_deadline
from shieldwall.control.plan.names import Names
from shieldwall.control.status.previous import previous_status
from shieldwall.control.status.sight import Sight, Trouble
from shieldwall.control.status.summarise import stalled_status, summarise

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable

    from shieldwall.control.api.status import FederatedTrainingStatus
    from shieldwall.control.api.training import Training
    from shieldwall.control.cluster.api import Api, Json
    from shieldwall.control.cluster.apply import Applier
    from shieldwall.control.cluster.brake import Brake
    from shieldwall.control.cluster.events import Recorder
    from shieldwall.control.cluster.fill import Filler
    from shieldwall.control.cluster.store import Key, Store
    from shieldwall.control.metrics import Metrics
    from shieldwall.control.plan.orders import Observed
    from shieldwall.control.planner import Planned, Planner
    from shieldwall.control.stewards import Stewards

_LOG: Final = logging.getLogger(__name__)
_PASSES: Final = 5
"""Root and CA, leaves and keys, objects: an order may follow from another, and none from itself."""
_SOON: Final = timedelta(seconds=2)
_FOREIGN: Final = timedelta(seconds=30)
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


class Reconciler:
    """Brings a training to what its spec says.

    Raises, from ``reconcile``, ApiError and ApiUnreachableError: the caller tries again later.
    """

    def __init__(  # noqa: PLR0913  # everything it works with, all named
        self,
        *,
        api: Api,
        store: Store,
        applier: Applier,
        filler: Filler,
        brake: Brake,
        recorder: Recorder,
        stewards: Stewards,
        metrics: Metrics,
        planner: Planner,
        clock: Callable[[], datetime],
    ) -> None:
        self._api = api
        self._statuses = StatusWriter(api)
        self._store = store
        self._applier = applier
        self._filler = filler
        self._brake = brake
        self._yielded: dict[Key, str] = {}
        """By training: the uid of that which was left to another operator."""
        self._recorder = recorder
        self._stewards = stewards
        self._metrics = metrics
        self._planner = planner
        self._clock = clock

    async def reconcile(self, key: Key) -> Verdict:
        """One pass."""
        body = self._store.training(key)
        if body is None or "deletionTimestamp" in body["metadata"]:
            self._stewards.stop(key)
            self._metrics.forget(key)
            self._planner.forget(key)
            self._brake.forget(key)
            self._applier.forget(key)
            self._yielded.pop(key, None)
            return Verdict(Outcome.OK)
        try:
            training = parse_training(body)
        except InvalidTrainingError as error:
            return await self._refuse(key, body, Trouble("InvalidSpec", str(error)))
        now = self._clock()
        known = self._planner.plan(training, self._store.owned(key), now)
        if training.paused:
            return await self._tell(key, body, training, known)
        return await self._work(key, body, training, known, now)

    async def _work(self, key: Key, body: Json, training: Training, known: Planned, now: datetime) -> Verdict:
        """Make what is missing, and tell how it went."""
        runs = any(kind in WORKLOADS for kind, _ in self._store.owned(key))
        holds = Holds()
        try:
            known, changed = await self._make(training, body, known, now, holds, runs=runs)
            if runs:  # pods that are made only now begin with what is there
                await self._nudge(training, changed, now)
            holds.tell()
            self._brake.require_peace(key)
            self._filler.require_root()
        except OtherOperatorError as error:
            return await self._yield_to(key, body, training, known, error)
        except LeavingObjectError as error:
            return await self._tell(key, body, training, known, retrying=_trouble(error))
        except HeldError as error:
            return await self._tell(key, body, training, known, trouble=_trouble(error))
        except ApiError as error:
            if error.terminating:
                return Verdict(Outcome.OK)
            if not error.conflict:  # else the store is behind: look again, and say nothing
                await self._tell(key, body, training, known, retrying=_trouble(error))
            raise
        return await self._tell(key, body, training, known)

    async def _yield_to(
        self, key: Key, body: Json, training: Training, known: Planned, error: OtherOperatorError
    ) -> Verdict:
        """Tell once that another operator has the training: it writes its status too, and would write over ours."""
        if self._yielded.get(key) == training.uid:
            return Verdict(Outcome.STALLED, _FOREIGN)
        _LOG.warning("%s/%s is left alone: %s", *key, error)
        self._yielded[key] = training.uid or ""
        verdict = await self._tell(key, body, training, known, trouble=_trouble(error))
        self._stewards.stop(key)
        return verdict

    async def _make(  # noqa: PLR0913  # all that a pass goes by
        self, training: Training, body: Json, known: Planned, now: datetime, holds: Holds, *, runs: bool
    ) -> tuple[Planned, set[str]]:
        """Fill orders until there are none, then apply and prune. Returns also which mounted objects changed.

        An object that is held up holds up no other, but for the pods of a training that does not run yet.
        """
        changed: set[str] = set()
        subject = Subject(training.namespace, training.name, training.uid or "")
        for _ in range(_PASSES):
            with holds.one():
                await self._filler.vouch(training)
            if holds or known.plan.complete:
                break
            written = await self._filler.fill(training, known.plan, now, holds)
            changed |= written
            before = known
            known = self._planner.plan(training, self._store.owned((training.namespace, training.name)), now)
            await self._tell_made(training, body, before, known, written)
            if holds:
                break  # what is left is left for somebody else, or for the next pass
        changed |= await self._filler.tidy(training, holds)
        # A CA that is another's signs nothing; what it signed before stays.
        signs = known.observed.issuer is not None or not holds
        trusted = await self._with_trust(training, known.observed, now) if signs else known.observed
        if trusted.trust != known.observed.trust:
            changed.add(Names(training.name).trust)
            known = self._planner.plan_for(training, trusted, now)
        for wanted in known.wanted:
            if holds and not runs and wanted.kind.kind in WORKLOADS:
                continue
            with holds.one():
                repair = await self._applier.ensure(training, wanted)
                if repair is not None:
                    self._metrics.repaired.labels(repair.kind).inc()
                    await self._recorder.record(subject, repaired(repair), now)
        if known.plan.complete:
            await self._prune(training, known)
        return known, changed

    async def _tell_made(
        self, training: Training, body: Json, before: Planned, after: Planned, written: Collection[str]
    ) -> None:
        """Post what came of the orders of ``before`` that were filled, and log what nobody expects."""
        subject, now = Subject(training.namespace, training.name, training.uid or ""), self._clock()
        if before.plan.authority is not None and before.plan.authority.secret in written:
            status, new = previous_status(body.get("status")), after.observed.issuer
            replaced = authority_replaced(training.name, status, before.observed, new)
            if replaced is not None:
                _LOG.warning("%s/%s: %s", subject.namespace, subject.name, replaced.note)
                await self._recorder.record(subject, replaced, now)
        orders = [order for order in before.plan.certificates if order.secret in written]
        for what in issued(orders, after.observed.leaves):
            await self._recorder.record(subject, what, now)

    async def _with_trust(self, training: Training, observed: Observed, now: datetime) -> Observed:
        """Bundle and CRL, signed anew when they are due: only then is the CA's key read."""
        issuer, trust = observed.issuer, observed.trust
        if issuer is None:
            return replace(observed, trust=None)
        if trust is not None and trust_due(issuer, trust) > now:
            return observed
        return replace(observed, trust=trust_of(await self._filler.issuer(training), trust, now))

    async def _prune(self, training: Training, known: Planned) -> None:
        names = Names(training.name)
        wanted = {(each.kind.kind, each.name) for each in known.wanted}
        wanted |= {(SECRET.kind, name) for name in entries_of(training, names)}
        for name, live in dict(self._store.owned((training.namespace, training.name))).items():
            mine = live.owner is not None and live.owner.uid == training.uid
            if mine and name not in wanted and not live.leaving:
                await self._applier.prune(live)

    async def _nudge(self, training: Training, changed: Iterable[str], now: datetime) -> None:
        behind = self._stewards.behind((training.namespace, training.name), now)
        await nudge(self._api, training, {*changed, *behind}, now.strftime("%Y%m%dT%H%M%SZ"))

    async def _tell(  # noqa: PLR0913  # all that a status is made of
        self,
        key: Key,
        body: Json,
        training: Training,
        known: Planned,
        *,
        trouble: Trouble | None = None,
        retrying: Trouble | None = None,
    ) -> Verdict:
        observed = known.observed
        owned = self._store.owned(key)
        workloads = workloads_of(owned)
        server = workloads.get(Names(training.name).server)
        self._stewards.follow(training, observed, running=server is not None and server.ready > 0)
        now = self._clock()
        sight = Sight(
            training=training,
            now=now,
            plan=known.plan,
            observed=observed,
            workloads=workloads,
            policies=self._store.policies.get(training.namespace, ()),
            steward=self._stewards.sight(key),
            trouble=trouble,
            retrying=retrying,
            previous=previous_status(body.get("status")),
        )
        calm = trouble is None and retrying is None
        if calm and self._stewards.settling(key, now) and _told(sight):
            return Verdict(Outcome.OK, _SOON)  # what stands is better than what is not known yet
        status = summarise(sight)
        self._metrics.saw(key, sight, status)
        await self._write_status(key, body, status, now)
        if trouble is not None:
            return Verdict(Outcome.STALLED, _FOREIGN)
        if retrying is not None:
            return Verdict(Outcome.RETRY, _SOON)
        deadline = next_deadline(training, self._planner.settings, observed, now)
        again = max(deadline - now, _LEAST_WAIT) if deadline is not None else None
        if sight.steward is not None and not sight.steward.reachable:
            again = min(again, _STALE) if again is not None else _STALE  # what it said grows old
        return Verdict(Outcome.OK, again)

    async def _refuse(self, key: Key, body: Json, trouble: Trouble) -> Verdict:
        """A spec that the CRD of another version let through. What runs is left alone."""
        now = self._clock()
        status = stalled_status(previous_status(body.get("status")), body["metadata"].get("generation"), trouble, now)
        self._metrics.stalled(key, status)
        await self._write_status(key, body, status, now)
        return Verdict(Outcome.STALLED)

    async def _write_status(self, key: Key, body: Json, status: FederatedTrainingStatus, now: datetime) -> None:
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


def _told(sight: Sight) -> bool:
    """Whether the status that stands is about this generation."""
    return sight.previous is not None and sight.previous.observed_generation == sight.training.generation


_LONGEST_SENTENCE: Final = 900


def _trouble(error: HeldError | ApiError) -> Trouble:
    return Trouble(error.reason if isinstance(error, HeldError) else error.trouble, str(error)[:_LONGEST_SENTENCE])
