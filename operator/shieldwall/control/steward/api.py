"""Asks a training's steward how it goes, over mTLS, with the operator's identity."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import lru_cache
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

import httpx
from cryptography import x509
from pydantic import TypeAdapter, ValidationError

from shieldwall.contract import ports, routes
from shieldwall.contract.records import Reinstatements, RoundRecord, StewardStatus
from shieldwall.pki.serials import serial_text
from shieldwall.pki.verify import VerificationError, identity_of

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncIterator, Mapping

    from shieldwall.contract.identity import Identity
    from shieldwall.contract.records import DenyList

_RECORDS: Final = TypeAdapter(list[RoundRecord])
_TIMEOUT: Final = httpx.Timeout(10.0, connect=3.0)
_WHOLE_SECONDS: Final = 10.0
"""From the question to the end of its answer: time-outs of single reads never end for one byte a second."""
_LARGEST_ANSWER: Final = 4 * 1024 * 1024
"""Bytes. A status of 500 clients, each denied for every reason, takes less."""
_HEADERS: Final = {"Accept-Encoding": "identity"}
_LIMITS: Final = httpx.Limits(max_connections=2, max_keepalive_connections=1)


class StewardUnreachableError(ConnectionError):
    """The steward does not answer, or not so that it can be understood; ask again."""


class AnswerTooLargeError(StewardUnreachableError):
    """The answer has more bytes than are read of one."""

    def __init__(self) -> None:
        super().__init__(f"its answer is larger than {_LARGEST_ANSWER} bytes")


class WrongServerError(RuntimeError):
    """Somebody else answers at the steward's address; ``found`` is what its certificate says."""

    def __init__(self, wanted: Identity, found: str) -> None:
        super().__init__(f"The steward's address is answered by {found}, not by {wanted.uri}.")
        self.found = found


@dataclass(frozen=True, slots=True)
class Whereabouts:
    """Where the steward is and who it must be."""

    address: str
    """A DNS name or an IP address."""
    server_name: str
    """A DNS name of its certificate."""
    identity: Identity


class StewardApi:
    """The steward of one training. Every call raises StewardUnreachableError or WrongServerError."""

    def __init__(self, http: httpx.AsyncClient, where: Whereabouts) -> None:
        self._http = http
        self._where = where
        self.server_serial = ""
        """Serial number (lower-case hex) of the certificate that came with the last answer; empty before the first."""

    async def status(self) -> StewardStatus:
        """Its state now."""
        answer = await self._ask("GET", routes.OPERATOR_STATUS)
        try:
            return StewardStatus.model_validate_json(answer)
        except ValidationError as error:
            raise _not_understood(error) from error

    async def rounds(self, after: int) -> list[RoundRecord]:
        """The records from index ``after`` on, at most 500."""
        answer = await self._ask("GET", f"{routes.OPERATOR_ROUNDS}?after={after}")
        try:
            return _RECORDS.validate_json(answer)
        except ValidationError as error:
            raise _not_understood(error) from error

    async def deny(self, deny: DenyList) -> None:
        """Replace the deny list; it is in force for the next request when this returns."""
        await self._ask("PUT", routes.OPERATOR_DENY, deny.model_dump_json().encode())

    async def reinstate(self, wanted: Reinstatements) -> None:
        """End bans; in force for the next request when this returns."""
        await self._ask("PUT", routes.OPERATOR_REINSTATE, wanted.model_dump_json().encode())

    async def fulfil(self, wanted: Mapping[str, str], status: StewardStatus) -> None:
        """Pass on those requests to reinstate clients (nonces by name) that ``status`` does not know as done."""
        known = {client.name for client in status.clients}
        open_ = {
            name: nonce for name, nonce in wanted.items() if name in known and status.reinstated.get(name) != nonce
        }
        if open_:
            await self.reinstate(Reinstatements(nonces=open_))

    async def _ask(self, method: str, path: str, content: bytes | None = None) -> bytes:
        url = f"https://{self._where.address}:{ports.STEWARD}{path}"
        sni = {"sni_hostname": self._where.server_name}
        try:
            async with (
                asyncio.timeout(_WHOLE_SECONDS),
                self._http.stream(method, url, content=content, headers=_HEADERS, extensions=sni) as answer,
            ):
                self.server_serial = self._require_server(answer)
                if answer.status_code not in {HTTPStatus.OK, HTTPStatus.NO_CONTENT}:
                    raise StewardUnreachableError(f"the steward answered {answer.status_code}")
                return await _content(answer)
        except (httpx.HTTPError, TimeoutError) as error:
            raise StewardUnreachableError(str(error) or type(error).__name__) from error

    def _require_server(self, answer: httpx.Response) -> str:
        """The serial of the server's certificate, which must name the wanted identity."""
        connection = answer.extensions["network_stream"].get_extra_info("ssl_object")
        try:
            found, serial = _leaf_facts(connection.getpeercert(binary_form=True))
        except VerificationError as error:
            raise WrongServerError(self._where.identity, str(error)) from error
        if found != self._where.identity:
            raise WrongServerError(self._where.identity, found.uri)
        return serial


async def _content(answer: httpx.Response) -> bytes:
    """The body as it was sent: what is packed may be any size, and nobody asked for that."""
    if (coding := answer.headers.get("Content-Encoding", "identity")) != "identity":
        raise StewardUnreachableError(f"its answer is packed: {coding[:32]}")
    content = bytearray()
    async for part in answer.aiter_raw():
        content += part
        if len(content) > _LARGEST_ANSWER:
            raise AnswerTooLargeError
    return bytes(content)


@lru_cache(maxsize=1024)
def _leaf_facts(der: bytes) -> tuple[Identity, str]:
    """Identity and serial, once for each certificate: it is the same for thousands of answers."""
    leaf = x509.load_der_x509_certificate(der)
    return identity_of(leaf), serial_text(leaf.serial_number)


def _not_understood(error: ValidationError) -> StewardUnreachableError:
    first = error.errors(include_url=False, include_input=False)[0]
    place = ".".join(map(str, first["loc"]))
    return StewardUnreachableError(f"its answer is not understood: {place}: {first['msg']}")


@asynccontextmanager
async def steward_api(where: Whereabouts, context: ssl.SSLContext) -> AsyncIterator[StewardApi]:
    """A connection to the steward, kept open."""
    async with httpx.AsyncClient(verify=context, trust_env=False, timeout=_TIMEOUT, limits=_LIMITS) as http:
        yield StewardApi(http, where)
