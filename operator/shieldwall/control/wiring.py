"""Puts the operator together: every part is given what it works with, here and nowhere else."""

from __future__ import annotations

import random as dice
import time
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from shieldwall.control.budget_keeper import BudgetKeeper
from shieldwall.control.budgets.clerk import Clerk
from shieldwall.control.budgets.desk import Desk
from shieldwall.control.cluster.api import Api
from shieldwall.control.cluster.apply import Applier
from shieldwall.control.cluster.brake import Brake
from shieldwall.control.cluster.events import Recorder
from shieldwall.control.cluster.fill import Filler
from shieldwall.control.cluster.kinds import OURS, OWNED
from shieldwall.control.cluster.kopf_session import KopfLogin
from shieldwall.control.cluster.listing import Lister
from shieldwall.control.cluster.root import RootCa
from shieldwall.control.cluster.store import Key, Store
from shieldwall.control.cluster.tidy import Tidier
from shieldwall.control.cluster.vault import Vault
from shieldwall.control.issuing.randomness import Randomness
from shieldwall.control.making import Maker
from shieldwall.control.metrics import Metrics
from shieldwall.control.planner import Planner
from shieldwall.control.readiness import PATIENCE, Readiness
from shieldwall.control.reconcile import Reconciler
from shieldwall.control.report import Reporter
from shieldwall.control.stewards import Stewards
from shieldwall.control.worker import Line, Worker
from shieldwall.control.workqueue import WorkQueue

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from shieldwall.control.api.training import Training
    from shieldwall.control.cluster.api import Request
    from shieldwall.control.cluster.connection import Connection
    from shieldwall.control.config import OperatorConfig
    from shieldwall.control.steward.api import Whereabouts


def now() -> datetime:
    """The time."""
    return datetime.now(UTC)


def _as_usual(_training: Training, usual: Whereabouts) -> Whereabouts:
    return usual


@dataclass(frozen=True, slots=True)
class Wiring:
    """One replica's parts."""

    api: Api
    store: Store
    queue: WorkQueue[Key]
    budgets: WorkQueue[Key]
    keeper: BudgetKeeper
    metrics: Metrics
    reconciler: Reconciler
    worker: Worker
    readiness: Readiness
    login: KopfLogin


@asynccontextmanager
async def wire(  # noqa: PLR0913  # what is another in tests
    config: OperatorConfig,
    connection: Connection,
    identity: str,
    *,
    clock: Callable[[], datetime] = now,
    locate: Callable[[Training, Whereabouts], Whereabouts] = _as_usual,
    patience: float = PATIENCE,
) -> AsyncIterator[Wiring]:
    """A replica that is ready to work, called ``identity``.

    ``clock``, ``locate`` (where stewards are) and ``patience`` (seconds, with a silent API server) are other ones in
    tests only.
    """
    jitter = dice.SystemRandom().random
    store, random, settings = Store(), Randomness(), config.plan_settings()
    queue: WorkQueue[Key] = WorkQueue(jitter)
    budgets: WorkQueue[Key] = WorkQueue(jitter)
    metrics = Metrics(lambda: len(queue), lambda: queue.retries)
    readiness = Readiness(config.watch_namespaces, time.monotonic, patience)

    def counted(request: Request) -> None:
        metrics.requested(request)
        readiness.heard(request)

    def counted_of_kopf(request: Request) -> None:
        metrics.requested(request)
        readiness.heard_of_watch(request)

    login = KopfLogin(connection, (*OURS, *OWNED), config.watch_namespaces, counted_of_kopf)
    async with Api(connection, in_flight=config.requests_in_flight, counted=counted) as api:
        root = RootCa(api, config.operator_namespace, config.root_secret, random, clock)
        brake = Brake(clock)
        vault, planner = Vault(api, store, root), Planner(settings)
        stewards = Stewards(vault, settings, random, clock, jitter, queue.add, locate)
        recorder, applier = Recorder(api, identity), Applier(api, store, brake)
        desk = Desk(api, store, recorder, clock)
        clerk = Clerk(desk)
        maker = Maker(
            api=api,
            store=store,
            applier=applier,
            vault=vault,
            filler=Filler(
                vault, root, settings, random, brake, lambda _, order: metrics.issued.labels(order.reason).inc()
            ),
            tidier=Tidier(vault, brake),
            clerk=clerk,
            brake=brake,
            recorder=recorder,
            stewards=stewards,
            metrics=metrics,
            planner=planner,
        )
        reconciler = Reconciler(
            store=store,
            root=root,
            maker=maker,
            clerk=clerk,
            brake=brake,
            stewards=stewards,
            metrics=metrics,
            planner=planner,
            reporter=Reporter(
                api=api,
                store=store,
                recorder=recorder,
                stewards=stewards,
                metrics=metrics,
                settings=settings,
                clock=clock,
                unmended=applier.unmended,
            ),
            clock=clock,
        )
        lister = Lister(api, store, config.watch_namespaces)
        keeper = BudgetKeeper(api, store, desk, metrics)
        worker = Worker(
            queue,
            reconciler,
            lister,
            metrics,
            workers=config.workers,
            relist_seconds=config.relist_seconds,
            beside=[Line(budgets, keeper, store.budgets.keys)],
        )
        try:
            yield Wiring(api, store, queue, budgets, keeper, metrics, reconciler, worker, readiness, login)
        finally:
            queue.close()
            budgets.close()
            await stewards.close()
            await login.close()
