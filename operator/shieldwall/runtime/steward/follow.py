"""The shell around the run's pure step: look at the SuperLink, decide, act, again and again."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Final

from shieldwall.contract.records import Phase
from shieldwall.runtime.steward.flower import SuperLinkRefusedError, SuperLinkUnreachableError
from shieldwall.runtime.steward.handshakes import ProxyUnreachableError
from shieldwall.runtime.steward.run import Observation, next_step

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from shieldwall.runtime.steward.flower import Flower, Node, Run
    from shieldwall.runtime.steward.office import Office

_LOG: Final = logging.getLogger(__name__)
_PAUSE: Final = {Phase.TRAINING: 1.0, Phase.COMPLETED: 3.0, Phase.FAILED: 3.0}
_PAUSE_AT_START: Final = 0.5
_STALE: Final = 60.0


class Follower:
    """Registers the nodes, starts the run and follows it.

    Args:
        office: where everything is kept.
        flower: the SuperLink.
        fab: the bundle that is run.
        handshakes: asks the proxy for its counters; may raise ProxyUnreachableError.
        clock: Unix seconds.
    """

    def __init__(
        self,
        office: Office,
        flower: Flower,
        fab: bytes,
        handshakes: Callable[[], Awaitable[dict[str, int]]],
        clock: Callable[[], float],
    ) -> None:
        self._office = office
        self._flower = flower
        self._fab = fab
        self._handshakes = handshakes
        self._clock = clock
        self._looked = clock()
        self._complained: set[str] = set()

    @property
    def healthy(self) -> bool:
        """Whether the loop still goes round."""
        return self._clock() - self._looked < _STALE

    async def run(self) -> None:
        """Follow until cancelled."""
        while True:
            await self.look()
            await asyncio.sleep(_PAUSE.get(self._office.phase, _PAUSE_AT_START))

    async def look(self) -> None:
        """Look once, decide and act."""
        seen = await self._observe()
        step = next_step(
            self._office.run, seen, self._office.policy.rounds, self._clock(), self._office.policy.app.mode
        )
        if step.message != self._office.message:
            _LOG.info("%s: %s", step.phase.value, step.message)
        self._office.note_step(step)
        if step.start:
            await self._start()
        await self._count_handshakes()
        self._looked = self._clock()

    async def _observe(self) -> Observation:
        runs: tuple[Run, ...] = ()
        try:
            await self._register()
            runs = await self._flower.runs()
            reachable = True
        except SuperLinkUnreachableError:
            reachable = False
        office = self._office
        clients = len(office.registry.members)
        return Observation(reachable, len(office.online), clients, runs, office.released, office.tally)

    async def _register(self) -> None:
        """Register every node key that the SuperLink does not list: all of them after its database was lost."""
        nodes: tuple[Node, ...] = await self._flower.nodes()
        self._office.note_nodes(nodes)
        missing = self._office.registry.unregistered()
        for member in missing:
            try:
                await self._flower.register(member.public_key, member.client)
            except SuperLinkRefusedError as error:  # costs this client only
                if member.client not in self._complained:
                    _LOG.warning("client %s is not registered: %s", member.client, error)
                self._complained.add(member.client)
        if missing:
            self._office.note_nodes(await self._flower.nodes())

    async def _start(self) -> None:
        """Start a run. When the answer is lost, the next look finds the run and takes it over."""
        office = self._office
        try:
            run_id = await self._flower.start_run(self._fab)
        except SuperLinkUnreachableError as error:
            _LOG.warning("the run could not be started: %s", error)
        except SuperLinkRefusedError as error:
            _LOG.warning("the run was refused: %s", error)
            office.remember(office.run.refused(str(error), self._clock()))
        else:
            _LOG.info("run %s started after round %d", run_id, office.released)
            office.remember(office.run.started(run_id, office.released))

    async def _count_handshakes(self) -> None:
        try:
            self._office.handshakes = await self._handshakes()
        except ProxyUnreachableError as error:
            _LOG.debug("the proxy's counters are not there: %s", error)
