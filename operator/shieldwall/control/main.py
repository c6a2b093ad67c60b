"""``shieldwall-operator``: watches in every replica, acts in the one that leads."""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import secrets
import signal
import socket
import sys
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Final

import kopf

from shieldwall.control.cluster.connection import NoClusterError, connect
from shieldwall.control.cluster.kinds import BUDGET, TRAINING
from shieldwall.control.cluster.leadership import Seat, Terms, lead, resign
from shieldwall.control.config import InvalidConfigError, OperatorConfig
from shieldwall.control.handlers import registry_of, settings_of
from shieldwall.control.logs import configure_logging
from shieldwall.control.readiness import PATIENCE, attend, is_served, until_served
from shieldwall.control.web import pages
from shieldwall.control.wiring import wire

if TYPE_CHECKING:
    from collections.abc import Sequence

    from shieldwall.control.cluster.connection import Connection
    from shieldwall.control.wiring import Wiring

_LOG: Final = logging.getLogger(__name__)
_DEFAULT: Final = Path("/etc/shieldwall/operator.yaml")
_USAGE: Final = 2


def main(argv: Sequence[str] | None = None) -> int:
    """Run until SIGTERM. Exit codes: 0 told to stop, 1 lost the lease or broke, 2 a wrong configuration."""
    parser = argparse.ArgumentParser(prog="shieldwall-operator", description=__doc__)
    parser.add_argument("--config", type=Path, default=_DEFAULT, help="operator.yaml (default: %(default)s)")
    parser.add_argument("--kubeconfig", type=Path, help="a kubeconfig instead of the pod's service account")
    parser.add_argument("--check", action="store_true", help="read the configuration, and end")
    arguments = parser.parse_args(argv)
    try:
        config = OperatorConfig.read(arguments.config)
        if arguments.check:
            return 0
        configure_logging(config.log_level, config.log_format)
        return asyncio.run(_start(config, arguments.kubeconfig))
    except (InvalidConfigError, NoClusterError) as error:
        sys.stderr.write(f"shieldwall-operator: {error}\n")
        return _USAGE


async def _start(config: OperatorConfig, kubeconfig: Path | None) -> int:
    told = asyncio.Event()
    _listen(told)
    return await operate(config, await connect(kubeconfig), told)


def _listen(told: asyncio.Event) -> None:
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, told.set)


async def operate(
    config: OperatorConfig, connection: Connection, told: asyncio.Event, patience: float = PATIENCE
) -> int:
    """Run one replica until ``told`` to end (0), or until it may no longer act (1).

    ``patience``: seconds for which the API server may be silent before the replica is not ready.
    """
    identity = f"{os.environ.get('POD_NAME') or socket.gethostname()}_{secrets.token_hex(4)}"
    async with AsyncExitStack() as stack:
        parts = await stack.enter_async_context(wire(config, connection, identity, patience=patience))
        seat = Seat(config.operator_namespace, config.leader_election.lease_name, identity)
        parts_of_it = (
            asyncio.create_task(_act(config, seat, parts), name="acting"),
            asyncio.create_task(_watch(config, parts, identity, told), name="watching"),
            asyncio.create_task(attend(parts.readiness, parts.api), name="looking whether it is ready"),
            asyncio.create_task(told.wait(), name="waiting to be told to stop"),
        )

        def over() -> list[str]:
            return [f"{task.get_name()} is over" for task in parts_of_it if task.done()]

        # Healthy is a process that works: an API server that is away is no reason to start another one.
        await stack.enter_async_context(
            pages(config.metrics_port, parts.metrics, over, lambda: (*over(), *parts.readiness.missing()))
        )
        await asyncio.wait(parts_of_it, return_when=asyncio.FIRST_COMPLETED)
        _LOG.info("ending: %s", ", ".join(over()))
        for task in parts_of_it:
            task.cancel()
        for end in await asyncio.gather(*parts_of_it, return_exceptions=True):
            if isinstance(end, Exception):
                _LOG.error("ended by %s: %s", type(end).__name__, end, exc_info=end)
        if config.leader_election.enabled:
            await resign(parts.api, seat)
    if not told.is_set():
        _LOG.error("this replica may no longer act; it ends, to begin anew")
    return 0 if told.is_set() else 1


async def _act(config: OperatorConfig, seat: Seat, parts: Wiring) -> None:
    election = config.leader_election
    if not election.enabled:
        await parts.worker.run()
        return
    terms = Terms(election.lease_duration_seconds, election.renew_deadline_seconds, election.retry_period_seconds)
    standing_by = asyncio.create_task(parts.worker.stand_by(), name="standing by")

    async def work() -> None:
        standing_by.cancel()
        await asyncio.wait({standing_by})
        await parts.worker.run()

    try:
        await lead(parts.api, seat, terms, work)
    finally:
        standing_by.cancel()


async def _watch(config: OperatorConfig, parts: Wiring, identity: str, told: asyncio.Event) -> None:
    await until_served(parts.api, TRAINING)
    # An earlier release had no budgets: trainings do not wait until somebody brings the definitions up to date.
    lacking = not await is_served(parts.api, BUDGET)
    started = asyncio.Event()
    watching = asyncio.create_task(
        kopf.operator(
            registry=registry_of(parts.login, parts.store, parts.queue, parts.budgets),
            settings=settings_of(),
            # kopf would ask who the user is, and in an image nobody of that number is known.
            identity=identity,  # type: ignore[arg-type]  # a NewType of str that kopf keeps to itself
            standalone=True,
            clusterwide=not config.watch_namespaces,
            namespaces=config.watch_namespaces,
            ready_flag=started,
            stop_flag=asyncio.Event(),
        )
    )
    try:
        starting = asyncio.create_task(started.wait())
        await asyncio.wait({watching, starting}, return_when=asyncio.FIRST_COMPLETED)
        starting.cancel()
        # kopf has taken the signals; on one it would cancel every task that it does not know, the worker's too.
        _listen(told)
        if lacking:
            budgets = asyncio.create_task(until_served(parts.api, BUDGET))
            await asyncio.wait({watching, budgets}, return_when=asyncio.FIRST_COMPLETED)
            if budgets.done():
                _LOG.warning("there are budgets by now; this replica ends, to watch them too when it begins anew")
                return
            budgets.cancel()
        await watching
    finally:
        watching.cancel()
        await asyncio.wait({watching})


if __name__ == "__main__":
    sys.exit(main())
