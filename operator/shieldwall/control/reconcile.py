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
from shieldwall.control.cluster.holds import Holds
from shieldwall.control.cluster.observe import runs
from shieldwall.control.report import FOREIGN, Outcome, Reporter, Verdict
from shieldwall.control.status.sight import INVALID_SPEC, Trouble
from shieldwall.control.status.stalled import refusal

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from shieldwall.control.api.training import Training
    from shieldwall.control.budgets.clerk import Clerk
    from shieldwall.control.cluster.api import Json
    from shieldwall.control.cluster.brake import Brake
    from shieldwall.control.cluster.root import RootCa
    from shieldwall.control.cluster.store import Key, Store
    from shieldwall.control.making import Maker
    from shieldwall.control.metrics import Metrics
    from shieldwall.control.planner import Planned, Planner
    from shieldwall.control.stewards import Stewards

_LOG: Final = logging.getLogger(__name__)
_LONGEST_SENTENCE: Final = 900
_PATIENCE: Final = 3
"""Passes in a row in which somebody else was faster before that is told: mostly the next look is enough."""


class Reconciler:
    """Brings a training to what its spec says.

    Raises, from ``reconcile``, ApiError and ApiUnreachableError: the caller tries again later.
    """

    def __init__(  # noqa: PLR0913  # everything it works with, all named
        self,
        *,
        store: Store,
        root: RootCa,
        maker: Maker,
        clerk: Clerk,
        brake: Brake,
        stewards: Stewards,
        metrics: Metrics,
        planner: Planner,
        reporter: Reporter,
        clock: Callable[[], datetime],
    ) -> None:
        self._store = store
        self._root = root
        self._maker = maker
        self._clerk = clerk
        self._brake = brake
        self._yielded: dict[Key, str] = {}
        """By training: the uid of that which was left to another operator."""
        self._stewards = stewards
        self._metrics = metrics
        self._planner = planner
        self._reporter = reporter
        self._clock = clock
        self._accepted: dict[Key, Training] = {}
        """By training: as it was when it was last acted on."""
        self._conflicts: dict[Key, int] = {}
        """By training: the passes in a row that ended because somebody else was faster."""

    async def reconcile(self, key: Key) -> Verdict:
        """One pass."""
        body = self._store.training(key)
        if body is None or "deletionTimestamp" in body["metadata"]:
            self._stewards.stop(key)
            self._metrics.forget(key)
            self._maker.forget(key)
            self._yielded.pop(key, None)
            self._accepted.pop(key, None)
            self._conflicts.pop(key, None)
            return Verdict(Outcome.OK)
        try:
            case = Case(key, body, await _checked(body))
        except InvalidTrainingError as error:
            return await self._keep(key, body, error)
        known = self._accepted.get(key)
        if known is not None and known.uid != case.training.uid:
            self._maker.forget(key)  # of its objects nothing was deleted by anybody: it is another training
        try:
            short = await self._clerk.claim(case.training) if not case.training.paused else None
        except ApiError as error:
            if not self._lasts(key, error):
                raise
            return await self._withhold(case, retrying=_trouble(error))
        return await self._withhold(case, short) if short is not None else await self._act(case, self._plan(case))

    async def _keep(self, key: Key, body: Json, error: InvalidTrainingError) -> Verdict:
        """A spec that an older CRD, or an older operator, let through: what runs is kept as it was accepted last."""
        kept = await self._kept(key, body, Trouble(INVALID_SPEC, refusal(str(error))))
        if kept is None:
            return await self._reporter.refuse(key, body, Trouble(INVALID_SPEC, str(error)))
        return await self._act(*kept)

    async def _withhold(self, case: Case, short: Trouble | None = None, retrying: Trouble | None = None) -> Verdict:
        """No part of its budget for this spec: no pod is made by it, and what runs is kept by the one before.

        That is so for good (``short``), or as long as the budget's books cannot be written (``retrying``).
        """
        owned = self._store.owned(case.key)
        kept = await self._kept(case.key, case.body, short) if runs(case.training, owned) else None
        withheld = replace(case, refused=short, sound=False)
        return await self._work(*(kept or (withheld, self._plan(withheld))), self._clock(), retrying)

    async def _kept(self, key: Key, body: Json, refused: Trouble | None) -> tuple[Case, Planned] | None:
        case = kept_case(key, body, self._store.owned(key), self._accepted.get(key), refused)
        if case is None:
            return None
        try:
            await asyncio.to_thread(calibrated, case.training.spec)
            return case, self._plan(case)
        except ValueError as mistake:  # a spec of another version, of which no plan can be made any more
            _LOG.warning("%s/%s: its last accepted spec cannot be planned: %s", *key, mistake)
            return None

    def _plan(self, case: Case) -> Planned:
        return self._planner.plan(case.training, self._store.owned(case.key), self._clock())

    async def _act(self, case: Case, known: Planned) -> Verdict:
        if case.training.paused:
            return await self._reporter.tell(case, known)
        self._accepted[case.key] = case.training
        return await self._work(case, known, self._clock())

    async def _work(self, case: Case, known: Planned, now: datetime, retrying: Trouble | None = None) -> Verdict:
        """Make what is missing, and tell how it went; ``retrying``: what did not go before."""
        key, training, tell = case.key, case.training, self._reporter.tell
        there = runs(training, self._store.owned(key))
        holds = Holds()
        try:
            known, changed = await self._maker.make(case, known, now, holds, runs=there)
            if there:  # pods that are made only now begin with what is there
                await self._maker.nudge(training, changed, now)
            holds.tell()
            self._brake.require_peace(key)
            self._root.require_readable()  # though what is there already can go on without
        except OtherOperatorError as error:
            return await self._yield_to(case, known, error)
        except LeavingObjectError as error:
            return await tell(case, known, retrying=_trouble(error))
        except HeldError as error:
            return await tell(case, known, trouble=_trouble(error))
        except ApiError as error:
            if error.terminating:
                return Verdict(Outcome.OK)
            if self._lasts(key, error):  # else the store is behind: look again, and say nothing
                await tell(case, known, retrying=_trouble(error))
            raise
        if retrying is None:
            self._conflicts.pop(key, None)
        return await tell(case, known, retrying=retrying)

    def _lasts(self, key: Key, error: ApiError) -> bool:
        """Whether an error is told; a conflict only when it has come again and again."""
        if not error.conflict:
            return True
        self._conflicts[key] = self._conflicts.get(key, 0) + 1
        return self._conflicts[key] >= _PATIENCE

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


async def _checked(body: Json) -> Training:
    """The training, or InvalidTrainingError; the noise of a private one is calculated apart from everybody else's work.

    What was calculated is kept, so that the plan finds it.
    """
    spec = body.get("spec")
    if isinstance(spec, dict) and spec.get("privacy") is not None:
        return await asyncio.to_thread(checked_training, body)
    return checked_training(body)


def _trouble(error: HeldError | ApiError) -> Trouble:
    return Trouble(error.reason if isinstance(error, HeldError) else error.trouble, str(error)[:_LONGEST_SENTENCE])
