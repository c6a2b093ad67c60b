"""What counts as a refusal, and what says nothing."""

import asyncio
import contextlib
import errno
import socket

import pytest

from shieldwall.contract import ports
from shieldwall.contract.identity import Federation
from shieldwall.control.steward import probes
from shieldwall.control.steward.credentials import trusting
from shieldwall.control.steward.probes import closed_port, without_certificate
from shieldwall.control.steward.sight import Probe


@pytest.fixture
def bare(site):
    return trusting(site.credentials())


async def test_an_alert_that_asks_for_a_certificate_is_a_refusal(site, bare, listening):
    assert await without_certificate(site.where, bare) is Probe.REFUSED


async def test_a_server_that_is_not_the_trainings_says_nothing(make, site, now, bare, monkeypatch):
    other = make.Steward(make.Site.new(Federation("cluster.local", "fed", "other"), now).server())
    async with other.serving() as port:
        monkeypatch.setattr(ports, "STEWARD", port)
        assert await without_certificate(site.where, bare) is Probe.UNKNOWN


async def test_nobody_there_says_nothing(site, bare, steward, monkeypatch):
    async with steward.serving() as port:
        monkeypatch.setattr(ports, "STEWARD", port)  # free again
    assert await without_certificate(site.where, bare) is Probe.UNKNOWN


@contextlib.asynccontextmanager
async def serving(talk):
    """A port that answers as ``talk`` does; when it is left, nothing of it is open."""
    writers = []

    async def connected(reader, writer):
        writers.append(writer)
        await talk(reader, writer)

    async with await asyncio.start_server(connected, "127.0.0.1", 0) as server:
        yield server.sockets[0].getsockname()[1]
        for writer in writers:
            writer.transport.abort()
            with contextlib.suppress(OSError):
                await writer.wait_closed()


async def hang_up(_reader, writer):
    writer.close()


async def wait(reader, _writer):
    with contextlib.suppress(OSError):
        await reader.read()


@pytest.mark.parametrize("talk", [hang_up, wait])
async def test_a_connection_that_ends_or_hangs_says_nothing(site, bare, monkeypatch, talk):
    monkeypatch.setattr(probes, "_CONNECT_SECONDS", 0.1)
    async with serving(talk) as port:
        monkeypatch.setattr(ports, "STEWARD", port)
        assert await without_certificate(site.where, bare) is Probe.UNKNOWN


async def test_an_open_port_is_told_from_a_closed_one(site, monkeypatch):
    async with serving(hang_up) as port:
        monkeypatch.setattr(ports, "RUNTIME", port)
        assert await closed_port(site.where) is Probe.ADMITTED
    assert await closed_port(site.where) is Probe.REFUSED


async def test_a_port_that_never_answers_is_closed(site, monkeypatch):
    async def never(*_):
        await asyncio.Event().wait()

    monkeypatch.setattr(asyncio, "open_connection", never)
    monkeypatch.setattr(probes, "_CONNECT_SECONDS", 0.05)
    assert await closed_port(site.where) is Probe.REFUSED


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (ConnectionRefusedError(errno.ECONNREFUSED, "rejected"), Probe.REFUSED),
        (OSError(errno.EHOSTUNREACH, "rejected"), Probe.REFUSED),
        (OSError(errno.ENETUNREACH, "rejected"), Probe.REFUSED),
        (TimeoutError(errno.ETIMEDOUT, "dropped"), Probe.REFUSED),
        (socket.gaierror(socket.EAI_NONAME, "no such name"), Probe.UNKNOWN),
        (socket.gaierror(socket.EAI_AGAIN, "no name server"), Probe.UNKNOWN),
        (OSError(errno.EMFILE, "too many open files"), Probe.UNKNOWN),
        (OSError(errno.EADDRNOTAVAIL, "no port left"), Probe.UNKNOWN),
    ],
)
async def test_only_a_connection_that_came_to_nothing_shows_that_a_port_is_closed(site, monkeypatch, error, told):
    async def fails(*_):
        raise error

    monkeypatch.setattr(asyncio, "open_connection", fails)
    assert await closed_port(site.where) is told
