"""Brings what a training owns to its plan: orders are filled first, then objects are applied, then pruned."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from shieldwall.control.cluster.events import Subject
from shieldwall.control.cluster.kinds import SECRET
from shieldwall.control.cluster.nudge import nudge
from shieldwall.control.cluster.observe import WORKLOADS
from shieldwall.control.notices import authority_replaced, issued, repaired
from shieldwall.control.plan.certificates import entries_of
from shieldwall.control.plan.names import Names
from shieldwall.control.published import PublishedTrust
from shieldwall.control.status.previous import previous_status

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable
    from datetime import datetime

    from shieldwall.control.api.training import Training
    from shieldwall.control.budgets.clerk import Clerk
    from shieldwall.control.cases import Case
    from shieldwall.control.cluster.api import Api
    from shieldwall.control.cluster.apply import Applier, Repair
    from shieldwall.control.cluster.brake import Brake
    from shieldwall.control.cluster.events import Recorder
    from shieldwall.control.cluster.fill import Filler
    from shieldwall.control.cluster.holds import Holds
    from shieldwall.control.cluster.store import Key, Store
    from shieldwall.control.cluster.tidy import Tidier
    from shieldwall.control.cluster.vault import Vault
    from shieldwall.control.metrics import Metrics
    from shieldwall.control.planner import Planned, Planner
    from shieldwall.control.stewards import Stewards

_LOG: Final = logging.getLogger(__name__)
_PASSES: Final = 5
"""Root and CA, leaves and keys, objects: an order may follow from another, and none from itself."""


class Maker:
    """Writes what differs from the plan, and posts what was made or mended.

    Raises ApiError and ApiUnreachableError.
    """

    def __init__(  # noqa: PLR0913  # everything it works with, all named
        self,
        *,
        api: Api,
        store: Store,
        applier: Applier,
        vault: Vault,
        filler: Filler,
        tidier: Tidier,
        clerk: Clerk,
        brake: Brake,
        recorder: Recorder,
        stewards: Stewards,
        metrics: Metrics,
        planner: Planner,
    ) -> None:
        self._api = api
        self._store = store
        self._applier = applier
        self._vault = vault
        self._filler = filler
        self._tidier = tidier
        self._clerk = clerk
        self._brake = brake
        self._recorder = recorder
        self._stewards = stewards
        self._metrics = metrics
        self._planner = planner
        self._published = PublishedTrust(vault)

    def forget(self, key: Key) -> None:
        """A training has gone."""
        self._planner.forget(key)
        self._brake.forget(key)
        self._applier.forget(key)
        self._vault.forget(key)
        self._published.forget(key)

    async def make(
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
                await self._vault.vouch(training)
            if holds or known.plan.complete:
                break
            written = await self._filler.fill(training, known.plan, now, holds)
            changed |= written
            before = known
            known = self._planner.plan(training, self._store.owned((training.namespace, training.name)), now)
            await self._tell_made(case, before, known, written, now)
            if holds:
                break  # what is left is left for somebody else, or for the next pass
        changed |= await self._tidier.tidy(training, holds)
        await self._tell_repaired(subject, self._vault.repairs(case.key), now)
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
                    await self._clerk.begin(training, runs=runs)
                    begun = True
                if not begun:
                    break  # workloads are the last
            with holds.one():
                repair = await self._applier.ensure(training, wanted)
                if repair is not None:
                    await self._tell_repaired(subject, [repair], now)

    async def _tell_made(
        self, case: Case, before: Planned, after: Planned, written: Collection[str], now: datetime
    ) -> None:
        """Post what came of the orders of ``before`` that were filled, and log what nobody expects."""
        training = case.training
        subject = Subject(training.namespace, training.name, training.uid or "")
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

    async def nudge(self, training: Training, changed: Iterable[str], now: datetime) -> None:
        """Let running pods see at once what they have mounted and what they may be behind with."""
        behind = self._stewards.behind((training.namespace, training.name), now)
        await nudge(self._api, training, {*changed, *behind}, now.strftime("%Y%m%dT%H%M%SZ"))
