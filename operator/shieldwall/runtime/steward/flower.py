"""A thin adapter over Flower's Control API on loopback: nodes and runs, typed, with time-outs.

The Control API has no lock of its own; what keeps others away is that it is reachable on loopback only and stands
in no route of the proxy.
"""

from __future__ import annotations

import asyncio
import hashlib
import ssl
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final, TypeVar

import httpx
from flwr.common.serde import fab_to_proto
from flwr.proto.control_pb2 import (
    ListNodesRequest,
    ListRunsRequest,
    RegisterNodeRequest,
    StartRunRequest,
    StopRunRequest,
)
from flwr.supercore.control import ControlHttpClient
from flwr.supercore.fab import Fab
from flwr.supercore.interceptors import RuntimeVersionHttpInterceptor

if TYPE_CHECKING:
    from collections.abc import Callable

_TIMEOUT: Final = 15.0
_SERVER_ERROR: Final = 500
T = TypeVar("T")


class SuperLinkUnreachableError(ConnectionError):
    """The SuperLink does not answer now: it starts, restarts or is overloaded. Try again."""


class SuperLinkRefusedError(RuntimeError):
    """The SuperLink refused a request; ``detail`` holds its words."""

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(f"the SuperLink answered {status}: {detail}")
        self.status = status
        self.detail = detail


class RunStage(StrEnum):
    """Where a run is; Flower's own words."""

    PENDING = "pending"
    STARTING = "starting"
    RUNNING = "running"
    FINISHED = "finished"


@dataclass(frozen=True, slots=True)
class Run:
    """One run, as the SuperLink sees it."""

    run_id: str
    stage: RunStage
    result: str
    """``completed``, ``failed`` or ``stopped``; empty until it is finished."""
    details: str


@dataclass(frozen=True, slots=True)
class Node:
    """One registered node key."""

    node_id: int
    public_key: bytes
    online: bool


class Flower:
    """The SuperLink's Control API. Every method raises SuperLinkUnreachableError or SuperLinkRefusedError."""

    def __init__(self, client: ControlHttpClient) -> None:
        self._client = client

    @classmethod
    def at(cls, address: str, certificate: str) -> Flower:
        """Connect to ``host:port``; ``certificate`` is the pod-local certificate, PEM."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.load_verify_locations(cadata=certificate)
        version = RuntimeVersionHttpInterceptor(component_name="shieldwall-steward")
        return cls(ControlHttpClient(f"https://{address}", interceptors=[version], verify=context, timeout=_TIMEOUT))

    async def nodes(self) -> tuple[Node, ...]:
        """All registered nodes."""
        answer = await _call(lambda: self._client.ListNodes(ListNodesRequest()))
        return tuple(Node(info.node_id, info.public_key, info.status == "online") for info in answer.nodes_info)

    async def register(self, public_key: bytes, name: str) -> int:
        """Register a node key (SubjectPublicKeyInfo PEM); gives the node's id."""
        request = RegisterNodeRequest(public_key=public_key, name=name)
        return int((await _call(lambda: self._client.RegisterNode(request))).node_id)

    async def runs(self) -> tuple[Run, ...]:
        """The last twenty runs, newest first."""
        answer = await _call(lambda: self._client.ListRuns(ListRunsRequest()))
        newest = sorted(answer.run_dict.values(), key=lambda run: run.pending_at, reverse=True)
        return tuple(
            Run(str(run.run_id), RunStage(run.status.status), run.status.sub_status, run.status.details)
            for run in newest
        )

    async def start_run(self, fab: bytes) -> str:
        """Start a run of a FAB; gives its id."""
        bundle = fab_to_proto(Fab(hashlib.sha256(fab).hexdigest(), fab, {}))
        answer = await _call(lambda: self._client.StartRun(StartRunRequest(fab=bundle)))
        if not answer.run_id:
            raise SuperLinkRefusedError(200, "no run was created")
        return str(answer.run_id)

    async def stop_run(self, run_id: str) -> None:
        """Stop a run."""
        await _call(lambda: self._client.StopRun(StopRunRequest(run_id=int(run_id))))

    def close(self) -> None:
        """Close the connections."""
        self._client.close()


async def _call(function: Callable[[], T]) -> T:
    """Call Flower's blocking client in a thread and translate its errors."""
    try:
        return await asyncio.to_thread(function)
    except httpx.HTTPStatusError as error:
        status = error.response.status_code
        if status >= _SERVER_ERROR:
            raise SuperLinkUnreachableError(f"the SuperLink answered {status}") from error
        raise SuperLinkRefusedError(status, error.response.text[:500]) from error
    except httpx.TransportError as error:
        raise SuperLinkUnreachableError(str(error)) from error
