"""Runs the containers of one pod in the kubelet's order: init containers, sidecars among them, then the rest."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from shieldwall.local.cluster.supervisor import ContainerState, Supervisor


class Bell:
    """Wakes everybody who waits for a condition to come true."""

    def __init__(self) -> None:
        self._event = asyncio.Event()

    def ring(self) -> None:
        """Something changed."""
        self._event.set()

    async def until(self, condition: Callable[[], bool]) -> None:
        """Return once ``condition`` holds; it is asked after each ring."""
        while not condition():
            self._event.clear()
            await self._event.wait()


class Pod:
    """One pod."""

    def __init__(self, name: str, init: Sequence[Supervisor], main: Sequence[Supervisor], bell: Bell) -> None:
        """``bell`` rings whenever a container changes."""
        self.name = name
        self._init = init
        self._main = main
        self._bell = bell

    @property
    def containers(self) -> list[ContainerState]:
        """All containers, in the order of their start."""
        return [supervisor.state for supervisor in (*self._init, *self._main)]

    @property
    def ready(self) -> bool:
        """Whether every container that stays is ready."""
        return all(state.done or (state.started and state.ready) for state in self.containers)

    @property
    def restarts(self) -> int:
        """How often containers had to be started again."""
        return sum(state.restarts for state in self.containers)

    @property
    def worst(self) -> ContainerState:
        """The container that had to be started again most often."""
        return max(self.containers, key=lambda state: state.restarts)

    async def run(self) -> None:
        """Keep the pod running until cancelled; then end its containers, sidecars last."""
        sidecars: list[asyncio.Task[None]] = []
        main: list[asyncio.Task[None]] = []
        try:
            for supervisor in self._init:
                if supervisor.sidecar:
                    sidecars.append(self._begin(supervisor))
                    await self._until_started(supervisor, sidecars[-1])
                else:
                    await supervisor.run_to_completion()
            main.extend(self._begin(supervisor) for supervisor in self._main)
            await asyncio.gather(*main, *sidecars)
        finally:
            await _cancel(main)
            await _cancel(sidecars)

    def _begin(self, supervisor: Supervisor) -> asyncio.Task[None]:
        """In the background; an end, which is a mistake in this program, wakes whoever waits."""
        task = asyncio.create_task(supervisor.run_forever())
        task.add_done_callback(lambda _: self._bell.ring())
        return task

    async def _until_started(self, supervisor: Supervisor, running: asyncio.Task[None]) -> None:
        await self._bell.until(lambda: supervisor.state.started or running.done())
        if running.done():
            running.result()


async def _cancel(tasks: Sequence[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
