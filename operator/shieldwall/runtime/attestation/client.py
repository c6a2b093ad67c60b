"""The trainer's side: asking the signer for a signature."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

import httpx
from pydantic import ValidationError

from shieldwall.runtime.attestation.wire import SIGN, RefusalReply, SignReply, SignRequest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from shieldwall.runtime.attestation.manifest import Manifest
    from shieldwall.runtime.attestation.sign import Attestation
    from shieldwall.runtime.attestation.signer import Refusal

_TIMEOUT: Final = 15.0
"""Longer than the signer waits for the steward."""
_PAUSE: Final = 1.0


class RefusedBySignerError(Exception):
    """The signer will not sign this, now or later; ``refusal`` says why."""

    def __init__(self, refusal: Refusal, message: str) -> None:
        super().__init__(f"the signer refused ({refusal}): {message}")
        self.refusal = refusal


class SignerUnavailableError(Exception):
    """The signer, or the steward behind it, did not answer in time."""


class SignerClient:
    """Asks the signer on the unix socket ``path``.

    A signature ends minutes of training, so a server pod that restarts meanwhile is waited for: up to ``patience``
    seconds.
    """

    def __init__(
        self,
        path: Path,
        patience: float = 60.0,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._path = path
        self._patience = patience
        self._clock = clock
        self._sleep = sleep

    def sign(self, manifest: Manifest) -> Attestation:
        """Have ``manifest`` signed; raises RefusedBySignerError or SignerUnavailableError."""
        body = SignRequest.of(manifest).model_dump_json().encode()
        deadline = self._clock() + self._patience
        with self._connect() as client:
            while True:
                try:
                    self._require_socket()
                    return _ask(client, body)
                except SignerUnavailableError:
                    if self._clock() + _PAUSE > deadline:
                        raise
                self._sleep(_PAUSE)

    def _require_socket(self) -> None:
        if not self._path.is_socket():  # a sentence of our own instead of "no such file"
            raise SignerUnavailableError(f"the signer does not answer: there is no socket {self._path}")

    def _connect(self) -> httpx.Client:
        transport = httpx.HTTPTransport(uds=str(self._path))
        return httpx.Client(transport=transport, base_url="http://signer", timeout=_TIMEOUT, trust_env=False)


def _ask(client: httpx.Client, body: bytes) -> Attestation:
    try:
        response = client.post(SIGN, content=body, headers={"content-type": "application/json"})
    except httpx.HTTPError as error:
        raise SignerUnavailableError(f"the signer does not answer: {error}") from error
    try:
        if response.status_code == httpx.codes.OK:
            return SignReply.model_validate_json(response.content).attestation()
        refused = RefusalReply.model_validate_json(response.content)
    except ValidationError as error:
        raise SignerUnavailableError(f"the signer's answer (status {response.status_code}) is not one") from error
    if response.status_code == httpx.codes.SERVICE_UNAVAILABLE:
        raise SignerUnavailableError(f"{refused.refusal}: {refused.message}")
    raise RefusedBySignerError(refused.refusal, refused.message)
