"""One training in this process, honest clients and attackers, by the pods' own round code."""

from __future__ import annotations

import os
import tempfile
import time
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np
from flwr.app import Context, RecordDict
from flwr.supercore.task_identity import TaskIdentity

from shieldwall.lab.grid import RUN_ID, LabGrid, members_of
from shieldwall.lab.notary import Notary
from shieldwall.lab.stage import LabClock, LabSteward, MemoryStore
from shieldwall.runtime.federation.engine import Engine
from shieldwall.runtime.federation.managed import train
from shieldwall.runtime.federation.repeats import RoundNotReachedError
from shieldwall.runtime.federation.wrapped import PolicyGrid
from shieldwall.runtime.privacy.errors import BudgetSpentError
from shieldwall.runtime.tally import Tally

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from datetime import datetime

    from flwr.superlink.grid.http_grid import HttpGrid

    from shieldwall.contract.policy import RuntimePolicy
    from shieldwall.contract.records import RoundRecord
    from shieldwall.lab.attacks import LabAttack
    from shieldwall.lab.grid import Cohort
    from shieldwall.runtime.checkpoint import CheckpointStore
    from shieldwall.runtime.federation.app import ManagedApp
    from shieldwall.runtime.model import Model

    ServerMain = Callable[[object, Context], object]

SUCCESS = "attack success"
"""The metric of a backdoor: how much of what carries the trigger is taken for the target."""


@dataclass(frozen=True, slots=True)
class Trial:
    """What came of one training."""

    records: tuple[RoundRecord, ...]
    model: Model | None
    message: str
    """Why it did not complete; empty when it did."""
    seconds: float
    evaluations: Mapping[int, list[RecordDict]] = field(repr=False, default_factory=dict)
    """What honest clients answered to the user's own evaluations, by round (wrapped mode)."""

    @property
    def losses(self) -> str:
        """How many rounds were lost, and why; empty where none was."""
        return Tally.of(self.records).losses


@dataclass(slots=True)
class Laboratory:
    """Keys and a directory for trials; use as a context manager, one at a time in a process."""

    notary: Notary
    directory: Path
    began: datetime

    @classmethod
    @contextmanager
    def of(cls, policy: RuntimePolicy, now: datetime) -> Iterator[Laboratory]:
        """For the clients of ``policy``."""
        before = (TaskIdentity._run_id, TaskIdentity._node_id, TaskIdentity._task_id)  # noqa: SLF001  # unset, the properties raise
        TaskIdentity.run_id, TaskIdentity.node_id, TaskIdentity.task_id = RUN_ID, 0, 0
        try:
            with tempfile.TemporaryDirectory(prefix="shieldwall-lab-") as directory:
                notary = Notary.new(policy.federation.id, [client.name for client in policy.clients], now)
                (Path(directory) / "ca.crt").write_bytes(notary.bundle)
                yield cls(notary, Path(directory), now)
        finally:
            TaskIdentity._run_id, TaskIdentity._node_id, TaskIdentity._task_id = before  # noqa: SLF001  # as above

    def managed(
        self, policy: RuntimePolicy, app: ManagedApp, cohort: Cohort, attackers: Mapping[str, LabAttack], seed: int
    ) -> Trial:
        """Run Shieldwall's own rounds."""
        return self._run(policy, cohort, attackers, seed, lambda engine, store: train(engine, store, app))

    def wrapped(
        self, policy: RuntimePolicy, server: ServerMain, cohort: Cohort, attackers: Mapping[str, LabAttack], seed: int
    ) -> Trial:
        """Run the user's own ServerApp behind the policy's Grid."""

        def serve(engine: Engine, store: CheckpointStore) -> None:
            context = Context(RUN_ID, 0, {}, RecordDict(), dict(policy.app.config))
            server(PolicyGrid(engine, store), context)

        return self._run(policy, cohort, attackers, seed, serve)

    def _run(
        self,
        policy: RuntimePolicy,
        cohort: Cohort,
        attackers: Mapping[str, LabAttack],
        seed: int,
        rounds: Callable[[Engine, CheckpointStore], None],
    ) -> Trial:
        signers = self.notary.signers if policy.require_signatures else {}
        grid = LabGrid(
            members_of(policy, dict(attackers), signers), cohort, policy.aggregation, np.random.default_rng([seed, 1])
        )
        engine = Engine(
            grid=cast("HttpGrid", grid),  # what Engine and PolicyGrid call of it, LabGrid has
            policy=policy,
            steward=LabSteward(policy),
            bundle=self.directory / "ca.crt",
            clock=LabClock(self.began),
            random=os.urandom,
            log=_silent,
            inbox=lambda _, __: nullcontext(grid),
        )
        started, message = time.perf_counter(), ""
        with tempfile.TemporaryDirectory(dir=self.directory) as directory:
            store = MemoryStore(Path(directory))
            try:
                rounds(engine, cast("CheckpointStore", store))  # as above
            except (RoundNotReachedError, BudgetSpentError) as error:
                message = str(error)
        release = store.latest()
        return Trial(
            store.records,
            release.model if release is not None else None,
            message or ("" if release is not None else Tally.of(store.records).empty),
            time.perf_counter() - started,
            grid.evaluations,
        )


def _silent(_: str) -> None:
    """Trials are told by their records."""
