"""A real API server with controllers, a scheduler and fake nodes, and a client of it that does no more than it must."""

from __future__ import annotations

import asyncio
import json
import ssl
import time
from contextlib import AsyncExitStack, ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import aiohttp
from harness.apiserver import ApiServer
from harness.controller_manager import ControllerManager
from harness.crds import install_crds
from harness.kwok import Kwok
from harness.scheduler import Scheduler

from scale import ROOT

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
    from pathlib import Path

CRDS = sorted((ROOT / "crds").glob("*.yaml"))
APPLY, MERGE, JSON = "application/apply-patch+yaml", "application/merge-patch+json", "application/json"
TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io"
NODES = 4
IN_FLIGHT = 16
POLL_SECONDS = 0.5


class OverdueError(TimeoutError):
    """Something did not come in time; ``what`` says what was there instead."""

    def __init__(self, what: object, seconds: float) -> None:
        super().__init__(f"not within {seconds:g} s: {what}")
        self.what = what


class Cluster:
    """Context manager; everything it writes is in ``directory``, which must be new."""

    def __init__(self, directory: Path) -> None:
        self.server = ApiServer(directory)
        self._exits = ExitStack()

    def __enter__(self) -> Self:
        """Start all components, with our kinds known before the garbage collector looks."""
        with ExitStack() as exits:
            exits.enter_context(self.server)
            install_crds(self.server, *CRDS)
            exits.enter_context(ControllerManager(self.server))
            exits.enter_context(Scheduler(self.server))
            exits.enter_context(Kwok(self.server, NODES))
            self._exits = exits.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        """End all."""
        self._exits.close()


@dataclass(frozen=True, slots=True)
class Put:
    """One request that writes."""

    method: str
    path: str
    body: bytes
    content_type: str = APPLY
    manager: str = "shieldwall"


class Client:
    """Asynchronous context manager: plain aiohttp with a client certificate, ``IN_FLIGHT`` requests at a time."""

    def __init__(self, server: ApiServer, user: str) -> None:
        context = ssl.create_default_context(cadata=server.authority.certificate.decode())
        context.load_cert_chain(*server.authority.client(user, ["system:masters"]).write(server.pki, user))
        self._base = server.endpoint.url
        self._context = context
        self._exits = AsyncExitStack()
        self._gate = asyncio.Semaphore(IN_FLIGHT)

    async def __aenter__(self) -> Self:
        """Open it."""
        connector = aiohttp.TCPConnector(limit=0, ssl=self._context)
        session = aiohttp.ClientSession(
            self._base,
            connector=connector,
            timeout=aiohttp.ClientTimeout(total=120),
            read_bufsize=1 << 22,  # a line of a watch is a whole object
        )
        self._session = await self._exits.enter_async_context(session)
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close it."""
        await self._exits.aclose()

    async def put(self, what: Put) -> bytes:
        """Send it; returns the answer. Raises RuntimeError for any answer of 400 or more."""
        query = {"fieldManager": what.manager} | ({"force": "true"} if what.content_type == APPLY else {})
        headers = {"Content-Type": what.content_type}
        async with (
            self._gate,
            self._session.request(what.method, what.path, params=query, data=what.body, headers=headers) as answer,
        ):
            content = await answer.read()
        if answer.status >= 400:  # noqa: PLR2004  # HTTP
            raise RuntimeError(f"{what.method} {what.path}: {content[:300].decode(errors='replace')}")
        return content

    async def put_all(self, all_of_it: Iterable[Put]) -> list[bytes]:
        """Send all, ``IN_FLIGHT`` at a time, in order as far as that goes."""
        waiting = iter(list(enumerate(all_of_it)))
        answers: dict[int, bytes] = {}

        async def sender() -> None:
            for index, each in waiting:
                answers[index] = await self.put(each)

        async with asyncio.TaskGroup() as tasks:
            for _ in range(IN_FLIGHT):
                tasks.create_task(sender())
        return [answers[index] for index in sorted(answers)]

    async def get(self, path: str, accept: str = JSON, **query: str) -> Any:  # noqa: ANN401  # JSON
        """An object or a list."""
        async with self._session.get(path, params=query, headers={"Accept": accept}) as answer:
            answer.raise_for_status()
            return await answer.json(content_type=None)

    async def count(self, path: str) -> int:
        """How many objects a collection holds; costs the API server one object."""
        page = await self.get(path, limit="1")
        return len(page["items"]) + int(page["metadata"].get("remainingItemCount", 0))

    async def running(self) -> int:
        """How many pods run."""
        table = await self.get("/api/v1/pods", TABLE, includeObject="None")
        column = next(i for i, each in enumerate(table["columnDefinitions"]) if each["name"] == "Status")
        return sum(row["cells"][column] == "Running" for row in table["rows"] or ())

    async def watch(self, path: str, **query: str) -> AsyncIterator[dict[str, Any]]:
        """Objects as they change, from now on."""
        listed = await self.get(path, limit="1")
        query |= {"watch": "true", "resourceVersion": listed["metadata"]["resourceVersion"]}
        async with self._session.get(path, params=query, timeout=aiohttp.ClientTimeout(total=None)) as answer:
            answer.raise_for_status()
            async for line in answer.content:
                yield json.loads(line)["object"]


async def until(question: Callable[[], Awaitable[object]], seconds: float, pause: float = POLL_SECONDS) -> float:
    """Wait until ``question`` gives nothing that is still amiss; returns the monotonic time. Raises OverdueError."""
    end = time.monotonic() + seconds
    while True:
        amiss = await question()
        now = time.monotonic()
        if not amiss:
            return now
        if now > end:
            raise OverdueError(amiss, seconds)
        await asyncio.sleep(pause)
