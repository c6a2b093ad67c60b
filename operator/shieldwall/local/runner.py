"""Runs one training on this machine, from its plan to its outcome."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from shieldwall.control.issuing.randomness import Randomness
from shieldwall.local import certificates, events
from shieldwall.local.attacks import assign
from shieldwall.local.cluster.addresses import reserve
from shieldwall.local.cluster.containers import base_environment
from shieldwall.local.cluster.kubelet import Site, kubelet
from shieldwall.local.cluster.supervisor import Pace
from shieldwall.local.cluster.users import OneUser, UserEach, choose
from shieldwall.local.desk import Desk, Shelves
from shieldwall.local.layout import laid_out
from shieldwall.local.notebook import Notebook, Subject, container_facts, save_model
from shieldwall.local.outcome import End
from shieldwall.local.planner import Planner, federation_of, leaf_lifetime, local_settings
from shieldwall.local.preflight import require_active, require_app
from shieldwall.local.stages import Crew, RunFailedError, Stages

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from shieldwall.control.api.training import Training
    from shieldwall.local.attackers import AttackKind
    from shieldwall.local.attacks import Attack
    from shieldwall.local.cluster.addresses import Block
    from shieldwall.local.cluster.users import Users
    from shieldwall.local.layout import Layout
    from shieldwall.local.outcome import ModelFacts, RunOutcome

_SEPARATE = "Every pod's programs ran as users of their own, and each volume was open only to those who mount it."
_ENDINGS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@dataclass(frozen=True, slots=True)
class Job:
    """One run that is wanted."""

    training: Training
    app: Path
    """The directory of the training's file: the user's app is imported from it. Absolute."""
    results: Path
    """Where logs and the model go. Absolute."""
    label: str
    attacks: tuple[Attack, ...] = ()
    keep: Path | None = None
    """Keep secrets and volumes here, and go on from what is here. Absolute."""
    protected: bool = True
    pace: Pace = field(default_factory=Pace)


async def run_training(job: Job, listen: Callable[[events.Event], None]) -> RunOutcome:
    """Run ``job`` to its end; SIGINT, SIGTERM and SIGHUP end it early, with everything it started.

    Raises SuspendedTrainingError, TooManyAttackersError, NoFreeBlockError, MissingModuleError and
    ForeignDirectoryError before anything is started.
    """
    require_active(job.training)
    attackers = assign([client.name for client in job.training.spec.clients], job.attacks)
    with reserve(os.getpid()) as block, laid_out(job.results, job.keep) as layout:
        return await _run(job, listen, layout, block, attackers)


async def _run(
    job: Job,
    listen: Callable[[events.Event], None],
    layout: Layout,
    block: Block,
    attackers: Mapping[str, AttackKind],
) -> RunOutcome:
    base = base_environment(job.app, os.environ)
    users = choose(block.index, (job.app,), (layout.state, layout.scratch), base)
    own_user = users.user("preflight", 0) if isinstance(users, UserEach) else None
    require_app(job.training, job.app, base, own_user)
    federation = federation_of(job.training)
    desk = Desk(Shelves(layout.secrets), federation, leaf_lifetime(job.training), Randomness())
    planner = Planner(job.training, local_settings(), desk, protected=job.protected)
    notebook = Notebook(_subject(job, attackers, users), time.time())
    _announce(job, listen, layout, attackers, users)
    site = Site(block, users, layout.directories(job.app), layout.scratch, layout.logs, base, job.pace)
    async with kubelet(site) as pods:
        crew = Crew(
            federation=federation,
            planner=planner,
            desk=desk,
            kubelet=pods,
            notebook=notebook,
            listen=listen,
            attackers=attackers,
            now=lambda: datetime.now(UTC),
            logs=layout.logs,
            round_seconds=job.training.spec.rounds.timeout_seconds,
            reinstate=job.training.reinstatements.nonces,
        )
        with _signals_restored():
            end, message = await _to_the_end(Stages(crew))
            await pods.stop_all()
        outcome = notebook.outcome(
            end,
            message,
            _model(notebook, layout),
            certificates.table(desk.leaves().values()),
            container_facts(pods.pods.values()),
        )
    listen(events.Ended(outcome=outcome))
    return outcome


async def _to_the_end(stages: Stages) -> tuple[End, str]:
    work = asyncio.create_task(stages.run())
    loop = asyncio.get_running_loop()
    for number in _ENDINGS:
        loop.add_signal_handler(number, work.cancel)
    try:
        return End.COMPLETED, await work
    except RunFailedError as error:
        return End.FAILED, str(error)
    except asyncio.CancelledError:
        if not work.cancelled():
            raise
        return End.INTERRUPTED, "Interrupted before its end."
    finally:
        for number in _ENDINGS:
            loop.remove_signal_handler(number)
            signal.signal(number, signal.SIG_IGN)


@contextmanager
def _signals_restored() -> Iterator[None]:
    """Afterwards signals do what they did before. A second Ctrl-C must not keep a run from ending its programs."""
    before = {number: signal.getsignal(number) for number in _ENDINGS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _subject(job: Job, attackers: Mapping[str, AttackKind], users: Users) -> Subject:
    spec = job.training.spec
    return Subject(
        training=job.training.name,
        label=job.label,
        protected=job.protected,
        clients=tuple(client.name for client in spec.clients),
        attackers=attackers,
        rule=spec.aggregation.rule.value if job.protected else "FedAvg",
        byzantine=spec.aggregation.tolerated if job.protected else 0,
        isolation=users.reason if isinstance(users, OneUser) else _SEPARATE,
    )


def _announce(
    job: Job,
    listen: Callable[[events.Event], None],
    layout: Layout,
    attackers: Mapping[str, AttackKind],
    users: Users,
) -> None:
    spec = job.training.spec
    listen(
        events.Began(
            training=job.training.name,
            label=job.label,
            rounds=spec.rounds.count,
            clients=tuple(client.name for client in spec.clients),
            attackers={client: kind.value for client, kind in attackers.items()},
            directory=str(layout.results),
        )
    )
    if isinstance(users, OneUser):
        listen(events.Notice(message=users.reason))


def _model(notebook: Notebook, layout: Layout) -> ModelFacts | None:
    released = [record.model_sha256 for record in notebook.records if record.model_sha256 is not None]
    if not released:
        return None
    return save_model([layout.state / "claims"], released[-1], layout.model)
