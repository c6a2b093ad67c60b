"""The operator's own pages: metrics, and whether it lives and is ready."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from aiohttp import web

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

    from shieldwall.control.metrics import Metrics


@asynccontextmanager
async def pages(
    port: int,
    metrics: Metrics,
    healthy: Callable[[], Sequence[str]],
    ready: Callable[[], Sequence[str]],
    host: str | None = None,
) -> AsyncIterator[int]:
    """Serve ``/metrics``, ``/healthz`` and ``/readyz``; gives the port (a free one for 0).

    ``healthy`` and ``ready`` say what stands in the way, and nothing when all is well.
    """

    async def show(_: web.Request) -> web.Response:  # aiohttp wants a coroutine
        return web.Response(body=metrics.render(), headers={"Content-Type": "text/plain; version=0.0.4; charset=utf-8"})

    def answer(question: Callable[[], Sequence[str]]) -> Callable[[web.Request], Awaitable[web.Response]]:
        async def say(_: web.Request) -> web.Response:
            missing = question()
            return web.Response(text=f"{'; '.join(missing)}\n" if missing else "ok\n", status=503 if missing else 200)

        return say

    app = web.Application()
    app.router.add_get("/metrics", show)
    app.router.add_get("/healthz", answer(healthy))
    app.router.add_get("/readyz", answer(ready))
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        site = web.TCPSite(runner, host=host, port=port)
        await site.start()
        yield int(runner.addresses[0][1])
    finally:
        await runner.cleanup()
