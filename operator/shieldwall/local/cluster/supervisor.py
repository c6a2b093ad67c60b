"""Keeps one container running, as a kubelet does: probes, restarts with back-off, an end in order."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from shieldwall.local.cluster import probes

if TYPE_CHECKING:
    from collections.abc import Callable

    from kubernetes.client import V1Probe

    from shieldwall.local.cluster.processes import Program

_ALWAYS: Final = "Always"


@dataclass(frozen=True, slots=True)
class Pace:
    """How long to wait before a container starts again. The kubelet's is 10 s to 5 min; people wait here."""

    first: float = 1.0
    longest: float = 20.0
    forgiven_after: float = 60.0
    """Seconds of running after which earlier exits no longer count."""
    grace: float = 10.0
    """Seconds between SIGTERM and SIGKILL."""

    def delay(self, exits: int) -> float:
        """Seconds to wait after the ``exits``-th exit in a row, from 1."""
        return min(self.longest, self.first * 2.0 ** min(exits - 1, 16))


@dataclass(slots=True)
class ContainerState:
    """What is known of one container."""

    name: str
    started: bool = False
    """Whether the running program passed its startup probe."""
    ready: bool = False
    restarts: int = 0
    exits: list[int] = field(default_factory=list)
    """Exit codes, oldest first; −n for an end by signal n."""
    done: bool = False
    """An init container that succeeded."""


class Supervisor:
    """Runs one container."""

    def __init__(self, prober: probes.Prober, pace: Pace, changed: Callable[[], None]) -> None:
        """``prober`` knows the container; ``changed`` is called whenever ``state`` did."""
        self._prober = prober
        self._container = prober.container
        self._pace = pace
        self._changed = changed
        self._exits_in_a_row = 0
        self.state = ContainerState(prober.container.name)

    @property
    def sidecar(self) -> bool:
        """Whether it is an init container that stays (restartPolicy Always)."""
        return self._container.restart_policy == _ALWAYS

    async def run_to_completion(self) -> None:
        """Run an init container, again after each failure, until it succeeds."""
        while not self.state.done:
            began = time.monotonic()
            self.state.done = await self._run_once() == 0
            if not self.state.done:
                await self._pause(began)
        self._changed()

    async def run_forever(self) -> None:
        """Run a container, again after each exit, until cancelled."""
        while True:
            began = time.monotonic()
            await self._run_once()
            await self._pause(began)

    async def _pause(self, began: float) -> None:
        lasted = time.monotonic() - began
        self._exits_in_a_row = 1 if lasted >= self._pace.forgiven_after else self._exits_in_a_row + 1
        self.state.restarts += 1
        self._changed()
        await asyncio.sleep(self._pace.delay(self._exits_in_a_row))

    async def _run_once(self) -> int:
        program = self._prober.programs.start(self._prober.launch)
        try:
            code = await self._watched(program)
        finally:
            self.state.started = self.state.ready = False
            await program.stop(self._pace.grace)
        self.state.exits.append(code)
        self._changed()
        return code

    async def _watched(self, program: Program) -> int:
        async with asyncio.TaskGroup() as group:
            watch = group.create_task(self._probe(program))
            code = await program.wait()
            watch.cancel()
        return code

    async def _probe(self, program: Program) -> None:
        """Follow the program's probes; ends it when it does not start or does not live."""
        container = self._container
        if container.startup_probe is not None and not await self._starts(container.startup_probe):
            await program.stop(self._pace.grace)
            return
        self.state.started = True
        self.state.ready = container.readiness_probe is None
        self._changed()
        async with asyncio.TaskGroup() as group:
            if container.readiness_probe is not None:
                group.create_task(self._follow_readiness(container.readiness_probe))
            if container.liveness_probe is not None:
                group.create_task(self._end_when_dead(container.liveness_probe, program))

    async def _starts(self, probe: V1Probe) -> bool:
        async for failures in probes.failures_in_a_row(probe, self._prober.passes):
            if failures == 0:
                return True
            if failures >= probes.threshold(probe):
                return False
        return False

    async def _follow_readiness(self, probe: V1Probe) -> None:
        async for failures in probes.failures_in_a_row(probe, self._prober.passes):
            ready = failures == 0 or (self.state.ready and failures < probes.threshold(probe))
            if ready != self.state.ready:
                self.state.ready = ready
                self._changed()

    async def _end_when_dead(self, probe: V1Probe, program: Program) -> None:
        async for failures in probes.failures_in_a_row(probe, self._prober.passes):
            if failures >= probes.threshold(probe):
                await program.stop(self._pace.grace)
                return
