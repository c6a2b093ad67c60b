"""The program of a LocalNode: a node for the pods of one training, which run as processes of this machine.

It binds the pods that the controllers make in one namespace, runs them by the project's own kubelet with what
ConfigMaps and Secrets hold, and tells the API server how they are. Like a kubelet it brings the volumes of a pod up to
date when the pod's own metadata has changed, and else about once a minute.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import os
import shutil
import signal
import time
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
from kubernetes.client import V1PodSpec

from shieldwall.control.cluster.connection import connect
from shieldwall.control.plan.labels import COMPONENT_LABEL, Component
from shieldwall.local.cluster.addresses import reserve
from shieldwall.local.cluster.containers import base_environment
from shieldwall.local.cluster.kubelet import Kubelet, Site, kubelet
from shieldwall.local.cluster.templates import PodTemplate
from shieldwall.local.cluster.users import choose
from shieldwall.local.cluster.volumes import Contents, UnsupportedVolumeError
from shieldwall.local.guard import guarded
from shieldwall.local.layout import laid_out

if TYPE_CHECKING:
    from collections.abc import Mapping

    from shieldwall.local.cluster.supervisor import ContainerState

Json = dict[str, Any]
LOOK_SECONDS = 0.25
SYNC_SECONDS = 60.0


@dataclass
class Running:
    """A pod that was started."""

    uid: str
    started: datetime
    metadata: Json
    synced: float
    """Monotonic seconds: when its volumes were last brought up to date."""
    told: Json = field(default_factory=dict)


class Node:
    """Runs what is bound to it. The server's pod comes first: its address stands for the Service of that name."""

    def __init__(self, name: str, namespace: str, http: httpx.AsyncClient, pods: Kubelet, volumes: Path) -> None:
        """``volumes``: what lives as long as a pod lies in ``<volumes>/<pod>``."""
        self._name = name
        self._path = f"/api/v1/namespaces/{namespace}"
        self._namespace = namespace
        self._http = http
        self._pods = pods
        self._volumes = volumes
        self._running: dict[str, Running] = {}

    async def run(self) -> None:
        """Work until cancelled."""
        await self._join()
        while True:
            with suppress(httpx.TransportError):
                await self._look()
            self._pods.raise_failures()
            await asyncio.sleep(LOOK_SECONDS)

    async def _join(self) -> None:
        node = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": self._name}}
        await self._patch(f"/api/v1/nodes/{self._name}", node, "apply-patch+yaml")
        ready = {"type": "Ready", "status": "True", "reason": "KubeletReady", "message": "runs pods as processes"}
        await self._patch(f"/api/v1/nodes/{self._name}/status", {"status": {"conditions": [ready]}})

    async def _look(self) -> None:
        found = {body["metadata"]["name"]: body for body in await self._items("pods")}
        for name in [name for name in self._running if name not in found]:
            await self._end(name)
        if any(map(is_server, found.values())):
            for name, body in sorted(found.items(), key=lambda item: not is_server(item[1])):
                await self._see(name, body)

    async def _see(self, name: str, body: Json) -> None:
        metadata = body["metadata"]
        pod = self._running.get(name)
        if pod is not None and (pod.uid != metadata["uid"] or "deletionTimestamp" in metadata):
            await self._end(name)
            pod = None
        if "deletionTimestamp" in metadata:
            await self._http.request("DELETE", f"{self._path}/pods/{name}", json={"gracePeriodSeconds": 0})
            return
        if "nodeName" not in body["spec"]:
            target = {"apiVersion": "v1", "kind": "Node", "name": self._name}
            await self._http.post(
                f"{self._path}/pods/{name}/binding", json={"metadata": {"name": name}, "target": target}
            )
        pod = pod or await self._start(name, body)
        if pod is not None:
            await self._sync(name, pod, telling(metadata))
            await self._tell(name, pod)

    async def _start(self, name: str, body: Json) -> Running | None:
        """None while something that the pod mounts is missing."""
        spec = V1PodSpec.from_dict(body["spec"])
        assert spec is not None
        template = PodTemplate(name, self._namespace, spec, tuple(spec.volumes or ()))
        now = datetime.now(UTC)
        try:
            self._pods.add(template, await self._contents(), now)
        except UnsupportedVolumeError:
            return None
        metadata = body["metadata"]
        pod = self._running[name] = Running(metadata["uid"], now, telling(metadata), time.monotonic())
        return pod

    async def _sync(self, name: str, pod: Running, metadata: Json) -> None:
        if metadata == pod.metadata and time.monotonic() < pod.synced + SYNC_SECONDS:
            return
        self._pods._materialise(self._pods._templates[name], await self._contents(), datetime.now(UTC))
        pod.metadata, pod.synced = metadata, time.monotonic()

    async def _tell(self, name: str, pod: Running) -> None:
        status = status_of(self._pods, name, pod.started)
        if status != pod.told:
            await self._patch(f"{self._path}/pods/{name}/status", {"status": status})
            pod.told = status

    async def _end(self, name: str) -> None:
        del self._running[name]
        await self._pods.stop([name])
        shutil.rmtree(self._volumes / name, ignore_errors=True)

    async def _contents(self) -> Contents:
        config_maps = {
            body["metadata"]["name"]: {key: text.encode() for key, text in body.get("data", {}).items()}
            for body in await self._items("configmaps")
        }
        secrets = {
            body["metadata"]["name"]: {key: base64.b64decode(text) for key, text in body.get("data", {}).items()}
            for body in await self._items("secrets")
        }
        return Contents(config_maps, secrets)

    async def _items(self, plural: str) -> list[Json]:
        answer = await self._http.get(f"{self._path}/{plural}")
        return list(answer.raise_for_status().json()["items"])

    async def _patch(self, path: str, body: Json, kind: str = "merge-patch+json") -> None:
        parameters = {"fieldManager": self._name} | ({"force": "true"} if kind == "apply-patch+yaml" else {})
        answer = await self._http.patch(
            path, json=body, params=parameters, headers={"Content-Type": f"application/{kind}"}
        )
        if answer.status_code != httpx.codes.NOT_FOUND:  # a pod may have gone meanwhile
            answer.raise_for_status()


def is_server(body: Json) -> bool:
    """Whether a pod is the training's server."""
    return bool(body["metadata"].get("labels", {}).get(COMPONENT_LABEL) == Component.SERVER)


def telling(metadata: Mapping[str, Any]) -> Json:
    """That part of a pod's metadata whose change makes a kubelet look at the pod."""
    return {key: metadata.get(key) for key in ("labels", "annotations")}


def status_of(pods: Kubelet, name: str, started: datetime) -> Json:
    """What a kubelet tells of a pod."""
    pod, template = pods.pods[name], pods._templates[name]
    inits = template.spec.init_containers or []
    conditions = {"PodScheduled": True, "Initialized": True, "ContainersReady": pod.ready, "Ready": pod.ready}
    containers = [container_status(state) for state in pod.containers]
    return {
        "phase": "Running",
        "podIP": pods.address(name),
        "podIPs": [{"ip": pods.address(name)}],
        "startTime": started.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "conditions": [{"type": kind, "status": str(holds)} for kind, holds in conditions.items()],
        "initContainerStatuses": containers[: len(inits)],
        "containerStatuses": containers[len(inits) :],
    }


def container_status(state: ContainerState) -> Json:
    """The same of a container."""
    return {
        "name": state.name,
        "image": "none",
        "imageID": "",
        "ready": state.done or (state.started and state.ready),
        "started": state.done or state.started,
        "restartCount": state.restarts,
    }


async def serve(name: str, namespace: str, kubeconfig: Path, app: Path, directory: Path) -> None:
    """Be the node until SIGTERM or SIGINT."""
    told = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, told.set)
    connection = await connect(kubeconfig)
    api = httpx.AsyncClient(base_url=connection.server, verify=connection.ssl_context, trust_env=False)
    with reserve(os.getpid()) as block, laid_out(directory / "results", directory / "state") as layout:
        base = base_environment(app, os.environ)
        users = choose(block.index, (app,), (layout.state, layout.scratch), base)
        site = Site(block, users, layout.directories(app), layout.scratch, layout.logs, base)
        async with api as http, kubelet(site) as pods:
            node = asyncio.create_task(Node(name, namespace, http, pods, site.directories.pods).run())
            stop = asyncio.create_task(told.wait())
            await asyncio.wait({node, stop}, return_when=asyncio.FIRST_COMPLETED)
            for task in (node, stop):
                task.cancel()
            with suppress(asyncio.CancelledError):
                await node


def main() -> int:
    """Run the node; nothing that it started outlives it."""
    parser = argparse.ArgumentParser(prog="local-node", description=__doc__)
    parser.add_argument("--name", required=True)
    parser.add_argument("--namespace", required=True)
    for path in ("--kubeconfig", "--app", "--directory"):
        parser.add_argument(path, type=Path, required=True)
    arguments = vars(parser.parse_args())

    def work() -> int:
        asyncio.run(serve(**arguments))
        return 0

    return guarded(work)
