"""The stages of a run: the server, its register of nodes, the other pods, the rounds."""

from __future__ import annotations

import asyncio
import os
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final

from shieldwall.contract.records import Outcome, Phase
from shieldwall.control.steward.api import Whereabouts
from shieldwall.local import certificates, events
from shieldwall.local.attackers import disguise
from shieldwall.local.cluster.templates import pod_templates
from shieldwall.local.follow import Follower, is_online, is_over, is_registered, progress_of

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Mapping
    from datetime import datetime
    from pathlib import Path

    from shieldwall.contract.identity import Federation
    from shieldwall.contract.records import StewardStatus
    from shieldwall.local.attackers import AttackKind
    from shieldwall.local.cluster.kubelet import Kubelet
    from shieldwall.local.cluster.pods import Pod
    from shieldwall.local.cluster.templates import PodTemplate
    from shieldwall.local.cluster.volumes import Contents
    from shieldwall.local.desk import Desk
    from shieldwall.local.notebook import Notebook
    from shieldwall.local.planner import Planner

_SERVER_SECONDS: Final = 180.0
_REGISTER_SECONDS: Final = 120.0
_PATIENCE_SECONDS: Final = 300.0
"""So long nothing may change beyond a round's own time-out."""
_CLIENT_SECONDS: Final = 20.0
"""So long at most a starting client pod holds its place among those that start."""
_STARTING: Final = 4
"""Client pods that start at once: each spends seconds of computing on imports."""
_RESTARTS: Final = 6
"""So often a container of the server or the aggregator may end before the run is given up: about a minute."""
_CLIENT_RESTARTS: Final = 4
"""So often a container of every honest client may end before the first round: a quarter of a minute."""
_LAST_BYTES: Final = 4096
_RENEWAL_SECONDS: Final = 30.0
_SUPERLINK: Final = "superlink"


class RunFailedError(RuntimeError):
    """The run cannot go on; the message is a sentence for people."""


@dataclass(frozen=True, slots=True)
class Crew:
    """Everybody who takes part in a run."""

    federation: Federation
    planner: Planner
    desk: Desk
    kubelet: Kubelet
    notebook: Notebook
    listen: Callable[[events.Event], None]
    attackers: Mapping[str, AttackKind]
    now: Callable[[], datetime]
    logs: Path
    """``<logs>/<pod>/<container>.log``."""
    round_seconds: float
    """The time-out of a round."""
    reinstate: Mapping[str, str]
    """Banned clients that the training's file wants back: nonces by name."""


def split(templates: list[PodTemplate]) -> tuple[PodTemplate, list[PodTemplate], list[PodTemplate]]:
    """The server's pod, other pods of the training's own (the aggregator), and the clients'."""
    clients = [template for template in templates if template.client is not None]
    own = [template for template in templates if template.client is None]
    servers = [template for template in own if any(each.name == _SUPERLINK for each in template.spec.containers)]
    return servers[0], [template for template in own if template is not servers[0]], clients


def last_line(log: Path) -> str:
    """The last line that a program wrote; empty when it said nothing."""
    try:
        with log.open("rb") as stream:
            stream.seek(0, os.SEEK_END)
            stream.seek(max(stream.tell() - _LAST_BYTES, 0))
            lines = stream.read().decode(errors="replace").split("\n")
    except OSError:
        return ""
    return next((line.strip() for line in reversed(lines) if line.strip()), "")


class Stages:
    """Takes a run through its stages."""

    def __init__(self, crew: Crew) -> None:
        self._crew = crew
        self._bell = crew.kubelet.bell
        self._follower = Follower(crew.notebook, crew.listen, self._bell.ring, crew.reinstate)
        self._essential: list[Pod] = []
        self._clients: dict[str, Pod] = {}
        self._background: list[asyncio.Task[None]] = []

    async def run(self) -> str:
        """Start everything and follow it to its end; the steward's last sentence. Raises RunFailedError."""
        crew = self._crew
        now = crew.now()
        plan = crew.planner.plan(now)
        contents = crew.planner.contents(plan)
        server, own, clients = split(pod_templates(plan.objects))
        try:
            await self._start_server(server, contents)
            for template in own:
                self._essential.append(crew.kubelet.add(template, contents, now))
            await self._start_clients(clients, contents)
            await self._until_over()
        finally:
            for task in self._background:
                task.cancel()
            await asyncio.gather(*self._background, return_exceptions=True)
        return self._verdict()

    def _verdict(self) -> str:
        status = self._crew.notebook.status
        if status is None or status.phase is not Phase.COMPLETED:
            raise RunFailedError(status.message if status is not None else "The steward never answered.")
        return status.message

    async def _start_server(self, template: PodTemplate, contents: Contents) -> None:
        crew = self._crew
        crew.listen(events.Step(message="Starting the server."))
        pod = crew.kubelet.add(template, contents, crew.now())
        self._essential.append(pod)
        await self._until(lambda: pod.ready, _SERVER_SECONDS, "The server was not ready")
        crew.notebook.mark("server_ready")
        crew.listen(events.Step(message="Waiting for the steward to register the clients' nodes."))
        address = crew.kubelet.address(template.name)
        where = Whereabouts(address, crew.planner.server_name(), crew.federation.server())
        self._begin(self._follower.follow(where, crew.desk, crew.now))
        self._begin(self._renew())
        await self._until(lambda: is_registered(self._status), _REGISTER_SECONDS, "The nodes were not registered")

    async def _start_clients(self, templates: list[PodTemplate], contents: Contents) -> None:
        self._crew.listen(events.Step(message=f"Starting the aggregator and {len(templates)} clients."))
        slots = asyncio.Semaphore(_STARTING)
        await asyncio.gather(*(self._start_client(template, contents, slots) for template in templates))

    async def _start_client(self, template: PodTemplate, contents: Contents, slots: asyncio.Semaphore) -> None:
        name = template.client or ""
        kind = self._crew.attackers.get(name)
        async with slots:
            other = partial(disguise, kind) if kind is not None else None
            pod = self._clients[name] = self._crew.kubelet.add(template, contents, self._crew.now(), other)
            try:
                async with asyncio.timeout(_CLIENT_SECONDS):
                    await self._bell.until(lambda: self._checked(is_online(self._status, name) or pod.restarts > 0))
            except TimeoutError:
                return  # it is slow, or kept out: the next one need not wait for it

    async def _until_over(self) -> None:
        patience = _PATIENCE_SECONDS + self._crew.round_seconds
        while not is_over(self._status):
            before = progress_of(self._status)
            await self._until(
                lambda before=before: is_over(self._status) or progress_of(self._status) != before,  # type: ignore[misc]
                patience,
                f"Nothing changed; the steward said: {self._status.message if self._status else 'nothing'} It waited",
            )

    async def _until(self, condition: Callable[[], bool], seconds: float, sentence: str) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._bell.until(lambda: self._checked(condition()))
        except TimeoutError:
            raise RunFailedError(f"{sentence} within {seconds:.0f} s.") from None

    def _checked(self, value: bool) -> bool:  # noqa: FBT001  # passes a condition's value through
        """``value``, unless something went wrong meanwhile: then that is raised."""
        self._follower.report_exits(self._crew.kubelet.pods.values())
        self._crew.kubelet.raise_failures()
        for task in self._background:
            if task.done() and not task.cancelled():
                task.result()
        for pod in self._essential:
            self._give_up(pod, _RESTARTS)
        honest = [pod for client, pod in self._clients.items() if client not in self._crew.attackers]
        if honest and not self._released and all(pod.worst.restarts >= _CLIENT_RESTARTS for pod in honest):
            self._give_up(honest[0], _CLIENT_RESTARTS)
        return value

    def _give_up(self, pod: Pod, restarts: int) -> None:
        """Raise RunFailedError, with the container's last words, if one of the pod's ended too often."""
        state = pod.worst
        if state.restarts < restarts:
            return
        log = self._crew.logs / pod.name / f"{state.name}.log"
        words = last_line(log)
        ended = f"{pod.name} keeps ending: {state.name} exited with {state.exits[-1]} again; see {log}."
        raise RunFailedError(f"{ended} Its last words: {words}" if words else ended)

    @property
    def _released(self) -> bool:
        return any(record.outcome is Outcome.RELEASED for record in self._crew.notebook.records)

    @property
    def _status(self) -> StewardStatus | None:
        return self._crew.notebook.status

    def _begin(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work)
        task.add_done_callback(lambda _: self._bell.ring())
        self._background.append(task)

    async def _renew(self) -> None:
        """Plan again twice a minute: leaves that are due are replaced while the pods run."""
        crew = self._crew
        while True:
            await asyncio.sleep(_RENEWAL_SECONDS)
            before = crew.desk.leaves()
            plan = crew.planner.plan(crew.now())
            crew.kubelet.sync(crew.planner.contents(plan), crew.now())
            for name, leaf in crew.desk.leaves().items():
                if before.get(name) != leaf:
                    facts = certificates.facts(leaf)
                    crew.listen(events.Renewed(subject=facts.subject, serial=facts.serial))
