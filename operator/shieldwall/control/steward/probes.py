"""Attempts that must fail: they show that a defence of the server pod is there."""

from __future__ import annotations

import asyncio
import errno
import ssl
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from shieldwall.contract import ports, routes
from shieldwall.control.steward.sight import Probe

if TYPE_CHECKING:
    from shieldwall.control.steward.api import Whereabouts

_ALERT: Final = "CERTIFICATE_REQUIRED"
"""Alert 116, in OpenSSL's words (RFC 8446, 6.2)."""
_UNREACHABLE: Final = frozenset({errno.ECONNREFUSED, errno.EHOSTUNREACH, errno.ENETUNREACH, errno.ETIMEDOUT})
"""What a packet filter makes of a connection that it drops or rejects. Not a name without an address, for one, nor a
process without file descriptors."""
_CONNECT_SECONDS: Final = 2.0
_ALERT_SECONDS: Final = 2.0
_ANSWER_SECONDS: Final = 5.0


async def without_certificate(where: Whereabouts, context: ssl.SSLContext) -> Probe:
    """Speak with the steward's listener without showing a certificate; ``context`` has none.

    In TLS 1.3 the client is done before the server has judged it (RFC 8446, 4.4.2.4): a refusal is the alert that
    answers the first read. Only that very alert counts as refused; whatever else goes wrong says nothing.
    """
    try:
        async with asyncio.timeout(_CONNECT_SECONDS):
            reader, writer = await asyncio.open_connection(
                where.address, ports.STEWARD, ssl=context, server_hostname=where.server_name
            )
    except OSError as error:  # TimeoutError and ssl.SSLError among them
        return _judged(error)
    try:
        return Probe.ADMITTED if await _answered(reader, writer, where) else Probe.UNKNOWN
    except OSError as error:
        return _judged(error)
    finally:
        writer.transport.abort()


async def closed_port(where: Whereabouts) -> Probe:
    """Connect to the aggregator's listener, which network policy closes to the operator.

    That nobody is there looks the same as a policy: believe REFUSED only when a new connection to the steward's
    listener, which is served by the same program, comes about after it. What fails on this side says nothing.
    """
    try:
        async with asyncio.timeout(_CONNECT_SECONDS):
            _, writer = await asyncio.open_connection(where.address, ports.RUNTIME)
    except TimeoutError:
        return Probe.REFUSED
    except OSError as error:
        return Probe.REFUSED if error.errno in _UNREACHABLE else Probe.UNKNOWN
    writer.transport.abort()
    return Probe.ADMITTED


async def _answered(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, where: Whereabouts) -> bool:
    """Whether any data comes back. Listens before it speaks: what is sent to a closed connection can hide its alert."""
    with suppress(TimeoutError):
        async with asyncio.timeout(_ALERT_SECONDS):
            return bool(await reader.read(1))
    writer.write(f"GET {routes.OPERATOR_STATUS} HTTP/1.1\r\nHost: {where.server_name}\r\n\r\n".encode("ascii"))
    async with asyncio.timeout(_ANSWER_SECONDS):
        return bool(await reader.read(1))


def _judged(error: OSError) -> Probe:
    refused = isinstance(error, ssl.SSLError) and _ALERT in (error.reason or "")
    return Probe.REFUSED if refused else Probe.UNKNOWN
