"""Asks a training's steward how it goes, over mTLS, with the operator's identity."""

from __future__ import annotations

import ssl
from contextlib import asynccontextmanager
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

import httpx
from cryptography import x509
from pydantic import TypeAdapter

from shieldwall.contract import ports, routes
from shieldwall.contract.records import RoundRecord, StewardStatus
from shieldwall.pki.verify import VerificationError, identity_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from shieldwall.contract.identity import Identity

_RECORDS: Final = TypeAdapter(list[RoundRecord])
_SECONDS: Final = 10.0


class StewardUnreachableError(ConnectionError):
    """The steward does not answer now; ask again."""


class WrongServerError(RuntimeError):
    """Somebody else answers at the steward's address; ``found`` is what its certificate says."""

    def __init__(self, wanted: Identity, found: str) -> None:
        super().__init__(f"The steward's address is answered by {found}, not by {wanted.uri}.")
        self.found = found


@dataclass(frozen=True, slots=True)
class Whereabouts:
    """Where the steward is and who it must be."""

    address: str
    server_name: str
    """A DNS name of its certificate."""
    identity: Identity


def tls_context(trust: Path, leaf: Path) -> ssl.SSLContext:
    """TLS 1.3 with the leaf in directory ``leaf``; the peer must chain to the CA in directory ``trust``.

    That CA is the training's own issuer and not self-signed, so OpenSSL has to be told that trust may end there.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN | ssl.VERIFY_X509_STRICT | ssl.VERIFY_CRL_CHECK_LEAF
    context.load_verify_locations(trust / "ca.crt")
    context.load_verify_locations(trust / "ca.crl")
    context.load_cert_chain(leaf / "tls.crt", leaf / "tls.key")
    return context


class StewardApi:
    """The steward of one training."""

    def __init__(self, http: httpx.AsyncClient, where: Whereabouts) -> None:
        self._http = http
        self._where = where

    async def status(self) -> StewardStatus:
        """Its state now. Raises StewardUnreachableError or WrongServerError."""
        return StewardStatus.model_validate_json(await self._get(routes.OPERATOR_STATUS))

    async def rounds(self, after: int) -> list[RoundRecord]:
        """The records from index ``after`` on, at most 500. Raises as ``status``."""
        return _RECORDS.validate_json(await self._get(f"{routes.OPERATOR_ROUNDS}?after={after}"))

    async def _get(self, path: str) -> bytes:
        url = f"https://{self._where.address}:{ports.STEWARD}{path}"
        try:
            answer = await self._http.get(url, extensions={"sni_hostname": self._where.server_name})
        except httpx.HTTPError as error:
            raise StewardUnreachableError(str(error)) from error
        self._require_server(answer)
        if answer.status_code != HTTPStatus.OK:
            raise StewardUnreachableError(f"the steward answered {answer.status_code}")
        return answer.content

    def _require_server(self, answer: httpx.Response) -> None:
        connection = answer.extensions["network_stream"].get_extra_info("ssl_object")
        leaf = x509.load_der_x509_certificate(connection.getpeercert(binary_form=True))
        try:
            found = identity_of(leaf)
        except VerificationError as error:
            raise WrongServerError(self._where.identity, str(error)) from error
        if found != self._where.identity:
            raise WrongServerError(self._where.identity, found.uri)


@asynccontextmanager
async def steward_api(where: Whereabouts, context: ssl.SSLContext) -> AsyncIterator[StewardApi]:
    """A connection to the steward, kept open."""
    async with httpx.AsyncClient(verify=context, trust_env=False, timeout=_SECONDS) as http:
        yield StewardApi(http, where)
