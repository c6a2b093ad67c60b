"""The kubelet's probes, as far as the plan uses them."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import httpx

from shieldwall.local.cluster.containers import resolve

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from kubernetes.client import V1Container, V1Probe

    from shieldwall.local.cluster.processes import Launch, Programs

_OK: Final = range(200, 400)
_DEFAULT_PERIOD: Final = 10
_DEFAULT_TIMEOUT: Final = 1
_DEFAULT_FAILURES: Final = 3


class UnsupportedProbeError(ValueError):
    """A probe of a kind that this miniature does not know."""


@dataclass(frozen=True, slots=True)
class Prober:
    """Asks one container how it is."""

    container: V1Container
    address: str
    launch: Launch
    programs: Programs
    http: httpx.AsyncClient

    async def passes(self, probe: V1Probe) -> bool:
        """Whether the container answers well within the probe's time-out."""
        timeout = probe.timeout_seconds or _DEFAULT_TIMEOUT
        if probe.http_get is not None:
            url = f"http://{self.address}:{self._port(probe.http_get.port)}{probe.http_get.path or '/'}"
            return await self._http(url, timeout)
        if probe.var_exec is not None:
            return await self._exec(probe.var_exec.command or [], timeout)
        if probe.tcp_socket is not None:
            return await self._tcp(self._port(probe.tcp_socket.port), timeout)
        raise UnsupportedProbeError(f"Container {self.container.name!r}: only httpGet, tcpSocket and exec are known.")

    async def _http(self, url: str, timeout: float) -> bool:  # noqa: ASYNC109  # httpx takes it as a number
        try:
            answer = await self.http.get(url, timeout=timeout)
        except httpx.HTTPError:
            return False
        return answer.status_code in _OK

    async def _exec(self, words: list[str], timeout: float) -> bool:  # noqa: ASYNC109  # the probe's own field
        program = self.programs.start(replace(self.launch, argv=tuple(resolve(words))))
        try:
            async with asyncio.timeout(timeout):
                return await program.wait() == 0
        except TimeoutError:
            return False
        finally:
            program.kill()

    async def _tcp(self, port: int, timeout: float) -> bool:  # noqa: ASYNC109  # the probe's own field
        try:
            async with asyncio.timeout(timeout):
                _, writer = await asyncio.open_connection(self.address, port)
        except (OSError, TimeoutError):
            return False
        writer.close()
        return True

    def _port(self, port: int | str) -> int:
        for named in self.container.ports or ():
            if named.name == port:
                return int(named.container_port)
        return int(port)


async def failures_in_a_row(probe: V1Probe, passes: Callable[[V1Probe], Awaitable[bool]]) -> AsyncIterator[int]:
    """Ask again and again; after each answer, how many failures there were since the last success."""
    failures = 0
    await asyncio.sleep(probe.initial_delay_seconds or 0)
    while True:
        failures = 0 if await passes(probe) else failures + 1
        yield failures
        await asyncio.sleep(probe.period_seconds or _DEFAULT_PERIOD)


def threshold(probe: V1Probe) -> int:
    """So many failures in a row count as one."""
    return int(probe.failure_threshold or _DEFAULT_FAILURES)
