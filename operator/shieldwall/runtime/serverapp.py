"""The ServerApp that runs in the aggregator: managed, or the user's own behind the policy's Grid.

A FAB of Shieldwall names ``shieldwall.runtime.serverapp:app``.
"""

from __future__ import annotations

import os
import sys
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from flwr.serverapp import ServerApp

from shieldwall.contract.paths import Paths, loopback
from shieldwall.contract.policy import Mode, RuntimePolicy
from shieldwall.runtime.checkpoint import CheckpointStore
from shieldwall.runtime.cpus import available_cpus
from shieldwall.runtime.federation.app import ManagedApp
from shieldwall.runtime.federation.engine import Engine
from shieldwall.runtime.federation.managed import train
from shieldwall.runtime.federation.steward_client import StewardClient
from shieldwall.runtime.federation.strategies import refusing, require_message_api
from shieldwall.runtime.federation.wrapped import PolicyGrid
from shieldwall.runtime.flower.references import load

if TYPE_CHECKING:
    from flwr.app import Context
    from flwr.serverapp import Grid

    from shieldwall.contract.policy import Rule


class SystemClock:
    """The machine's clock."""

    def now(self) -> datetime:
        """The time of day, UTC."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Seconds that never go back."""
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        """Wait."""
        time.sleep(seconds)


def _log(line: str) -> None:
    """One line to the container's log."""
    sys.stdout.write(f"{datetime.now(UTC):%FT%TZ} aggregator: {line}\n")
    sys.stdout.flush()


def main(grid: Grid, context: Context) -> None:
    """Run one Flower run by the policy of this container."""
    from flwr.superlink.grid.http_grid import HttpGrid  # heavy, and only a real run has one

    if not isinstance(grid, HttpGrid):
        raise TypeError(f"Shieldwall's ServerApp runs over HTTP, not over {type(grid).__name__}")
    paths = Paths.of_this_container()
    policy = RuntimePolicy.from_json(paths.policy.read_text())
    engine = Engine(
        grid=grid,
        policy=policy,
        steward=StewardClient(paths.local_certificate, loopback()),
        bundle=paths.trust / "ca.crt",
        clock=SystemClock(),
        random=os.urandom,
        log=_log,
        threads=available_cpus(),
    )
    store = CheckpointStore(paths.model)
    if policy.app.mode is Mode.MANAGED:
        train(engine, store, ManagedApp.load(policy.app))
    else:
        serve(policy.app.server_app or "", PolicyGrid(engine, store), context, policy.aggregation.rule)


def serve(reference: str, grid: Grid, context: Context, rule: Rule) -> None:
    """Run the user's own ServerApp; raises ReferenceNotFoundError, UnsafeStrategyError, or what the app raises."""
    with refusing(rule):  # a strategy may be made while the module is imported
        user = load("serverApp", reference)
        require_message_api(user)
        user(grid, context)


app = ServerApp()
app.main()(main)
