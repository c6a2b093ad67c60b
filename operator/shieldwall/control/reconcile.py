"""One level-triggered pass over one training: read everything, plan purely, write what differs, tell what was seen."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from shieldwall.control.api.calibration import calibrated
from shieldwall.control.api.checked import checked_training
from shieldwall.control.api.problems import InvalidTrainingError
from shieldwall.control.cases import Case, kept_case
from shieldwall.control.cluster.errors import ApiError, HeldError, LeavingObjectError, OtherOperatorError
from shieldwall.control.cluster.events import Subject
from shieldwall.control.cluster.holds import Holds
from shieldwall.control.cluster.kinds import SECRET
from shieldwall.control.cluster.nudge import nudge
from shieldwall.control.cluster.observe import WORKLOADS, owned_by
from shieldwall.control.notices import authority_replaced, issued, repaired
from shieldwall.control.plan.certificates import entries_of
from shieldwall.control.plan.names import Names
from shieldwall.control.published import PublishedTrust
from shieldwall.control.report import FOREIGN, Outcome, Reporter, Verdict
from shieldwall.control.status.previous import previous_status
from shieldwall.control.status.sight import INVALID_SPEC, Trouble
from shieldwall.control.status.stalled import refusal

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable
    from datetime import datetime

    from shieldwall.control.api.training import Training
    from shieldwall.control.budgets.clerk import Clerk
    from shieldwall.control.cluster.api import Api, Json
    from shieldwall.control.cluster.apply import Applier, Repair
    from shieldwall.control.cluster.brake import Brake
    from shieldwall.control.cluster.events import Recorder
    from shieldwall.control.cluster.fill import Filler
    from shieldwall.control.cluster.store import Key, Store
    from shieldwall.control.metrics import Metrics
    from shieldwall.control.planner import Planned, Planner
    from shieldwall.control.stewards import Stewards

_LOG: Final = logging.getLogger(__name__)
_PASSES: Final = 5
"""Root and CA, leaves and keys, objects: an order may follow from another, and none from itself."""


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
        clerk: Clerk,
        brake: Brake,
        recorder: Recorder,
        stewards: Stewards,
        metrics: Metrics,
        planner: Planner,
        reporter: Reporter,
        clock: Callable[[], datetime],
    ) -> None:
        self._api = api
        self._store = store
        self._applier = applier
        self._filler = filler
        self._clerk = clerk
        self._brake = brake
        self._yielded: dict[Key, str] = {}
        """By training: the uid of that which was left to another operator."""
        self._recorder = recorder
        self._stewards = stewards
        self._metrics = metrics
        self._planner = planner
        self._reporter = reporter
        self._published = PublishedTrust(filler)
        self._clock = clock
        self._accepted: dict[Key, Training] = {}
        """By training: as it was when it was last acted on."""

    async def reconcile(self, key: Key) -> Verdict:
        """One pass."""
        body = self._store.training(key)
        if body is None or "deletionTimestamp" in body["metadata"]:
            self._stewards.stop(key)
            self._metrics.forget(key)
            self._planner.forget(key)
            self._brake.forget(key)
            self._applier.forget(key)
            self._filler.repairs(key)
            self._published.forget(key)
            self._yielded.pop(key, None)
            self._accepted.pop(key, None)
            return Verdict(Outcome.OK)
        try:
            case = Case(key, body, await _checked(body))
        except InvalidTrainingError as error:
            return await self._keep(key, body, error)
        short = await self._clerk.claim(case.training) if not case.training.paused else None
        return await self._withhold(case, short) if short is not None else await self._act(case, self._plan(case))

    async def _keep(self, key: Key, body: Json, error: InvalidTrainingError) -> Verdict:
        """A spec that an older CRD, or an older operator, let through: what runs is kept as it was accepted last."""
        kept = await self._kept(key, body, Trouble(INVALID_SPEC, refusal(str(error))))
        if kept is None:
            return await self._reporter.refuse(key, body, Trouble(INVALID_SPEC, str(error)))
        return await self._act(*kept)

    async def _withhold(self, case: Case, short: Trouble) -> Verdict:
        """No part of its budget for this spec: no pod is made by it, and what runs is kept by the one before."""
        kept = await self._kept(case.key, case.body, short) if self._runs(case) else None
        withheld = replace(case, refused=short, sound=False)
        return await self._work(*(kept or (withheld, self._plan(withheld))), self._clock())

    async def _kept(self, key: Key, body: Json, refused: Trouble) -> tuple[Case, Planned] | None:
        case = kept_case(key, body, self._store.owned(key), self._accepted.get(key), refused)
        if case is None:
            return None
        try:
            await asyncio.to_thread(calibrated, case.training.spec)
            return case, self._plan(case)
        except ValueError as mistake:  # a spec of another version, of which no plan can be made any more
            _LOG.warning("%s/%s: its last accepted spec cannot be planned: %s", *key, mistake)
            return None

    def _runs(self, case: Case) -> bool:
        """Whether the training has workloads of its own, not merely of its name."""
        return any(kind in WORKLOADS for kind, _ in owned_by(case.training.uid, self._store.owned(case.key)))

    def _plan(self, case: Case) -> Planned:
        return self._planner.plan(case.training, self._store.owned(case.key), self._clock())

    async def _act(self, case: Case, known: Planned) -> Verdict:
        if case.training.paused:
            return await self._reporter.tell(case, known)
        self._accepted[case.key] = case.training
        return await self._work(case, known, self._clock())

    async def _work(self, case: Case, known: Planned, now: datetime) -> Verdict:
        """Make what is missing, and tell how it went."""
        key, training, tell = case.key, case.training, self._reporter.tell
        runs = any(kind in WORKLOADS for kind, _ in self._store.owned(key))
        holds = Holds()
        try:
            known, changed = await self._make(case, known, now, holds, runs=runs)
            if runs:  # pods that are made only now begin with what is there
                await self._nudge(training, changed, now)
            holds.tell()
            self._brake.require_peace(key)
            self._filler.require_root()
        except OtherOperatorError as error:
            return await self._yield_to(case, known, error)
        except LeavingObjectError as error:
            return await tell(case, known, retrying=_trouble(error))
        except HeldError as error:
            return await tell(case, known, trouble=_trouble(error))
        except ApiError as error:
            if error.terminating:
                return Verdict(Outcome.OK)
            if not error.conflict:  # else the store is behind: look again, and say nothing
                await tell(case, known, retrying=_trouble(error))
            raise
        return await tell(case, known)

    async def _yield_to(self, case: Case, known: Planned, error: OtherOperatorError) -> Verdict:
        """Tell once that another operator has the training: it writes its status too, and would write over ours."""
        key, training = case.key, case.training
        if self._yielded.get(key) == training.uid:
            return Verdict(Outcome.STALLED, FOREIGN)
        _LOG.warning("%s/%s is left alone: %s", *key, error)
        self._yielded[key] = training.uid or ""
        verdict = await self._reporter.tell(replace(case, refused=None), known, trouble=_trouble(error))
        self._stewards.stop(key)
        return verdict

    async def _make(
        self, case: Case, known: Planned, now: datetime, holds: Holds, *, runs: bool
    ) -> tuple[Planned, set[str]]:
        """Fill orders until there are none, then apply and prune. Returns also which mounted objects changed.

        An object that is held up holds up no other, but for the pods of a training that does not run yet.
        """
        changed: set[str] = set()
        training = case.training
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
            await self._tell_made(case, before, known, written)
            if holds:
                break  # what is left is left for somebody else, or for the next pass
        changed |= await self._filler.tidy(training, holds)
        await self._tell_repaired(subject, self._filler.repairs(case.key), now)
        # A CA that is another's signs nothing; what it signed before stays.
        signs = known.observed.issuer is not None or not holds
        published, observed = self._published, known.observed
        trusted = await published.wanted(training, observed, now) if signs else published.kept(training, observed)
        if trusted.trust != known.observed.trust:
            changed.add(Names(training.name).trust)
            known = self._planner.plan_for(training, trusted, now)
        await self._apply(case, known, now, holds, runs=runs)
        if known.plan.complete and case.sound:
            await self._prune(training, known)
        return known, changed

    async def _apply(self, case: Case, known: Planned, now: datetime, holds: Holds, *, runs: bool) -> None:
        """Make the objects what is wanted, those that run last: not before the training has its part of its budget."""
        training = case.training
        subject = Subject(training.namespace, training.name, training.uid or "")
        begun = False
        for wanted in known.wanted:
            if not case.acts_on(wanted) or (holds and not runs and wanted.kind.kind in WORKLOADS):
                continue
            if wanted.kind.kind in WORKLOADS and not begun:
                with holds.one():
                    await self._clerk.begin(training, runs=self._runs(case))
                    begun = True
                if not begun:
                    break  # workloads are the last
            with holds.one():
                repair = await self._applier.ensure(training, wanted)
                if repair is not None:
                    await self._tell_repaired(subject, [repair], now)

    async def _tell_made(self, case: Case, before: Planned, after: Planned, written: Collection[str]) -> None:
        """Post what came of the orders of ``before`` that were filled, and log what nobody expects."""
        training = case.training
        subject, now = Subject(training.namespace, training.name, training.uid or ""), self._clock()
        if before.plan.authority is not None and before.plan.authority.secret in written:
            status, new = previous_status(case.body.get("status")), after.observed.issuer
            replaced = authority_replaced(training.name, status, before.observed, new)
            if replaced is not None:
                _LOG.warning("%s/%s: %s", subject.namespace, subject.name, replaced.note)
                await self._recorder.record(subject, replaced, now)
        orders = [order for order in before.plan.certificates if order.secret in written]
        for what in issued(orders, after.observed.leaves):
            await self._recorder.record(subject, what, now)

    async def _tell_repaired(self, subject: Subject, repairs: Iterable[Repair], now: datetime) -> None:
        for repair in repairs:
            self._metrics.repaired.labels(repair.kind).inc()
            await self._recorder.record(subject, repaired(repair), now)

    async def _prune(self, training: Training, known: Planned) -> None:
        names = Names(training.name)
        wanted = {(each.kind.kind, each.name) for each in known.wanted}
        wanted |= {(SECRET.kind, name) for name in entries_of(training, names)}
        key = (training.namespace, training.name)
        self._applier.keep(key, wanted)
        self._brake.keep(key, wanted)
        for name, live in dict(self._store.owned(key)).items():
            mine = live.owner is not None and live.owner.uid == training.uid
            if mine and name not in wanted and not live.leaving:
                await self._applier.prune(live)

    async def _nudge(self, training: Training, changed: Iterable[str], now: datetime) -> None:
        behind = self._stewards.behind((training.namespace, training.name), now)
        await nudge(self._api, training, {*changed, *behind}, now.strftime("%Y%m%dT%H%M%SZ"))


async def _checked(body: Json) -> Training:
    """The training, or InvalidTrainingError; the noise of a private one is calculated apart from everybody else's work.

    What was calculated is kept, so that the plan finds it.
    """
    spec = body.get("spec")
    if isinstance(spec, dict) and spec.get("privacy") is not None:
        return await asyncio.to_thread(checked_training, body)
    return checked_training(body)


_LONGEST_SENTENCE: Final = 900


def _trouble(error: HeldError | ApiError) -> Trouble:
    return Trouble(error.reason if isinstance(error, HeldError) else error.trouble, str(error)[:_LONGEST_SENTENCE])
