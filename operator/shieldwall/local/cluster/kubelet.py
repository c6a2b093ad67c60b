"""Takes the objects of a plan and runs their pods on this machine."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import httpx

from shieldwall.local.cluster import volumes
from shieldwall.local.cluster.containers import Place, launch
from shieldwall.local.cluster.pods import Bell, Pod
from shieldwall.local.cluster.probes import Prober
from shieldwall.local.cluster.processes import Programs, adopt_orphans
from shieldwall.local.cluster.supervisor import Pace, Supervisor

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Mapping
    from datetime import datetime
    from pathlib import Path

    from kubernetes.client import V1Container

    from shieldwall.local.cluster.addresses import Block
    from shieldwall.local.cluster.containers import Disguise
    from shieldwall.local.cluster.templates import PodTemplate
    from shieldwall.local.cluster.users import Users
    from shieldwall.local.cluster.volumes import Contents, Directories

_STRAY_SECONDS: Final = 2.0


@dataclass(frozen=True, slots=True)
class Site:
    """What pods share on this machine."""

    block: Block
    users: Users
    directories: Directories
    roots: Path
    """Short path of the containers' root directories."""
    logs: Path
    base_env: Mapping[str, str]
    pace: Pace = field(default_factory=Pace)


class Kubelet:
    """Runs pods. Addresses are given in the order in which pods are added; the first is the server's."""

    def __init__(self, site: Site, http: httpx.AsyncClient) -> None:
        self._site = site
        self._http = http
        self._programs = Programs()
        self._templates: dict[str, PodTemplate] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self.pods: dict[str, Pod] = {}
        self.bell = Bell()

    def address(self, pod: str) -> str:
        """The address of a pod that was added."""
        return self._site.block.address(list(self._templates).index(pod))

    def add(self, template: PodTemplate, contents: Contents, now: datetime, disguise: Disguise | None = None) -> Pod:
        """Make a pod's directories and start it. Raises the Unsupported errors of volumes and containers."""
        self._templates[template.name] = template
        self._materialise(template, contents, now)
        place = self._place(template)
        place.logs.mkdir(parents=True, exist_ok=True)

        def supervisor(container: V1Container) -> Supervisor:
            start = launch(container, template.spec, place, disguise)
            prober = Prober(container, place.address, start, self._programs, self._http)
            return Supervisor(prober, self._site.pace, self.bell.ring)

        init = [supervisor(container) for container in template.spec.init_containers or ()]
        main = [supervisor(container) for container in template.spec.containers]
        pod = self.pods[template.name] = Pod(template.name, init, main, self.bell)
        task = self._tasks[template.name] = asyncio.create_task(pod.run(), name=template.name)
        task.add_done_callback(lambda _: self.bell.ring())
        return pod

    def sync(self, contents: Contents, now: datetime) -> list[str]:
        """Write changed ConfigMaps and Secrets into the volumes of running pods; ``pod/volume`` of each change."""
        return [
            change for template in self._templates.values() for change in self._materialise(template, contents, now)
        ]

    def raise_failures(self) -> None:
        """Raise what ended a pod's task, if anything did: a mistake in the plan or in this program."""
        for task in self._tasks.values():
            if task.done() and not task.cancelled():
                task.result()

    async def stop(self, pods: Iterable[str]) -> None:
        """End these pods, all at once."""
        tasks = [self._tasks[pod] for pod in pods]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def stop_all(self) -> None:
        """End every pod, the server last, then whatever escaped from them."""
        await self.stop(list(self._tasks)[1:])
        await self.stop(list(self._tasks)[:1])
        self._programs.end_strays()

    async def end_strays(self) -> None:
        """Keep ending what escaped from containers, until cancelled."""
        while True:
            await asyncio.sleep(_STRAY_SECONDS)
            self._programs.end_strays()

    def _place(self, template: PodTemplate) -> Place:
        site = self._site
        return Place(
            pod=template.name,
            namespace=template.namespace,
            address=self.address(template.name),
            server=site.block.address(0),
            root=site.roots / str(list(self._templates).index(template.name)),
            logs=site.logs / template.name,
            volumes={volume.name: site.directories.of(template.name, volume) for volume in template.volumes},
            users=site.users,
            base_env=site.base_env,
        )

    def _materialise(self, template: PodTemplate, contents: Contents, now: datetime) -> list[str]:
        directories = self._site.directories
        changes = []
        for volume in template.volumes:
            if directories.brought(volume) is not None:
                continue
            where = directories.of(template.name, volume)
            if volumes.materialise(where, volume, contents, self._site.users, now):
                changes.append(f"{template.name}/{volume.name}")
        return changes


@asynccontextmanager
async def kubelet(site: Site) -> AsyncIterator[Kubelet]:
    """A kubelet whose pods all end with the block."""
    adopt_orphans()
    limits = httpx.Limits(max_keepalive_connections=0)
    async with httpx.AsyncClient(trust_env=False, limits=limits) as http:
        one = Kubelet(site, http)
        sweeper = asyncio.create_task(one.end_strays())
        try:
            yield one
        finally:
            sweeper.cancel()
            await one.stop_all()
