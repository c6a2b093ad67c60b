"""Looks at one training from both ends: what its status says, and what the steward says over mTLS by itself."""

from __future__ import annotations

import base64
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import httpx
from cryptography import x509

from shieldwall.contract import ports, routes
from shieldwall.contract.identity import Federation
from shieldwall.contract.records import StewardStatus
from shieldwall.control.issuing.contents import certificate_files
from shieldwall.control.issuing.randomness import Randomness
from shieldwall.control.steward.credentials import Credentials, tls_context
from shieldwall.pki.authority import Authority
from shieldwall.pki.leaf import LeafRequest
from shieldwall.pki.serials import serial_text

if TYPE_CHECKING:
    from collections.abc import Callable

    from .conftest import Space

_SECONDS = 0.25


@dataclass(frozen=True)
class Look:
    """What status said, and right after it the steward. Times in monotonic seconds."""

    begun: float
    """When status was asked for."""
    ended: float
    """When all was answered."""
    status: dict[str, Any]
    ready: bool
    """Whether the server pod was Ready, so that its Service had an address."""
    steward: StewardStatus | None = None
    """None when it did not answer."""
    shown: str | None = None
    """Serial number of the certificate that the steward's listener showed on a new connection."""
    missed: bool = False
    """Whether somebody took the connection and no answer came in time: what it would have been, nobody knows."""

    def certificate(self, subject: str) -> dict[str, Any]:
        """What status says of a certificate."""
        told = self.status.get("pki", {}).get("certificates", [])
        return next((each for each in told if each["subject"] == subject), {"serial": None, "served": False})

    @property
    def online(self) -> int:
        """How many clients are, by the steward's word."""
        return sum(client.online for client in self.steward.clients) if self.steward is not None else 0


class Witness:
    """Looks four times a second while its block runs; all looks are kept."""

    def __init__(self, space: Space, training: str) -> None:
        self._space = space
        self._training = training
        self._over = threading.Event()
        self._context: Any = None
        self.looks: list[Look] = []

    @contextmanager
    def watching(self):
        with ThreadPoolExecutor(1, thread_name_prefix="witness") as pool:
            self._work = pool.submit(self._watch)
            try:
                yield self
            finally:
                self._over.set()
                self._work.result()

    def sees(self, question: Callable[[Look], Any], seconds: float) -> bool:
        """Whether ``question`` comes true of a look in time."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if self._work.done():
                self._work.result()
            if self.looks and question(self.looks[-1]):
                return True
            self._over.wait(_SECONDS / 5)
        return False

    @property
    def answered(self) -> Look:
        """The last look in which the steward answered."""
        return next(look for look in reversed(self.looks) if look.steward is not None)

    def _watch(self) -> None:
        while not self._over.wait(_SECONDS):
            begun = time.monotonic()
            status = self._space.status(self._training)
            pod = self._space.find("pods", f"{self._training}-server-0") or {}
            seen, missed = (None, None), False
            if (address := pod.get("status", {}).get("podIP")) is not None:
                try:
                    seen = self._ask(address)
                except httpx.TransportError as error:
                    missed = not isinstance(error, httpx.ConnectError)
            self.looks.append(Look(begun, time.monotonic(), status, is_ready(pod), *seen, missed))

    def _ask(self, address: str) -> tuple[StewardStatus | None, str]:
        self._context = self._context or self._credentials()
        url = f"https://{address}:{ports.STEWARD}{routes.OPERATOR_STATUS}"
        sni = {"sni_hostname": f"{self._training}-server.{self._space.name}.svc.cluster.local"}
        with (
            httpx.Client(verify=self._context, trust_env=False, timeout=2) as http,
            http.stream("GET", url, extensions=sni) as answer,
        ):
            der = answer.extensions["network_stream"].get_extra_info("ssl_object").getpeercert(True)
            content = answer.read()
        said = StewardStatus.model_validate_json(content) if answer.is_success else None  # Envoy is there before it
        return said, serial_text(x509.load_der_x509_certificate(der).serial_number)

    def _credentials(self):
        """A leaf of the operator's identity, of our own making: the CA is in the API server."""
        secret = self._space.get("secrets", f"{self._training}-ca")["data"]
        trust = self._space.get("configmaps", f"{self._training}-trust")["data"]
        issuer = Authority.from_pem(base64.b64decode(secret["tls.crt"]), base64.b64decode(secret["tls.key"]))
        identity = Federation("cluster.local", self._space.name, self._training).operator()
        files = certificate_files(
            issuer, LeafRequest(identity, (), timedelta(hours=1)), datetime.now(UTC), Randomness()
        )
        ca, crl = trust["ca.crt"].encode(), trust["ca.crl"].encode()
        return tls_context(Credentials(files["tls.crt"], files["tls.key"], ca, crl))


def is_ready(pod: dict[str, Any]) -> bool:
    conditions = pod.get("status", {}).get("conditions", [])
    return any(each["type"] == "Ready" and each["status"] == "True" for each in conditions)


def seconds_to_tell(looks: list[Look], said: Callable[[Look], Any], told: Callable[[Look], Any]) -> float:
    """From the first look in which something was ``said`` by the steward to the first in which status ``told`` it."""
    first = next((look.ended for look in looks if said(look)), None)
    assert first is not None, "it never was"
    return next((max(look.begun - first, 0.0) for look in looks if told(look)), float("inf"))
