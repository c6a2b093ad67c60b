"""The aggregator's line to the steward, through its proxy: rounds opened and rounds closed."""

from __future__ import annotations

import ssl
import time
from http import HTTPStatus
from typing import TYPE_CHECKING, Final, Protocol

import httpx

from shieldwall.contract import ports, routes
from shieldwall.contract.records import OpenRound, RoundGrant, RoundRecord

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_TRIES: Final = 8
_FIRST_WAIT_SECONDS: Final = 0.5
_LONGEST_WAIT_SECONDS: Final = 15.0


class NotTheCurrentRunError(Exception):
    """The steward follows another run: this one must end."""


class StewardUnreachableError(Exception):
    """The steward did not answer for about a minute; ``cause`` says what was last seen."""

    def __init__(self, cause: str) -> None:
        super().__init__(f"the steward does not answer: {cause}")
        self.cause = cause


class Steward(Protocol):
    """What a round needs of the steward."""

    def open(self, opening: OpenRound) -> RoundGrant:
        """Announce a round; raises NotTheCurrentRunError, StewardUnreachableError."""

    def close(self, record: RoundRecord) -> None:
        """Hand in what became of it; raises StewardUnreachableError."""


class StewardClient:
    """HTTP over the pod's loopback to the proxy, which speaks mTLS with the server."""

    def __init__(self, certificate: Path, address: str, sleep: Callable[[float], None] = time.sleep) -> None:
        context = ssl.create_default_context(cafile=str(certificate))
        self._http = httpx.Client(base_url=f"https://{address}:{ports.PROXY}", verify=context, timeout=30)
        self._sleep = sleep

    def open(self, opening: OpenRound) -> RoundGrant:
        """See Steward."""
        return RoundGrant.model_validate_json(self._post(routes.ROUNDS_OPEN, opening.model_dump_json()).content)

    def close(self, record: RoundRecord) -> None:
        """See Steward."""
        self._post(routes.ROUNDS_CLOSE, record.model_dump_json())

    def _post(self, path: str, body: str) -> httpx.Response:
        """POST with retries while the steward or a proxy restarts."""
        wait, seen = _FIRST_WAIT_SECONDS, ""
        for _ in range(_TRIES):
            try:
                response = self._http.post(path, content=body, headers={"content-type": "application/json"})
            except httpx.TransportError as error:
                seen = f"{type(error).__name__}: {error}"
            else:
                if response.status_code == HTTPStatus.CONFLICT:
                    raise NotTheCurrentRunError(response.text)
                if response.is_success:
                    return response
                seen = f"HTTP {response.status_code}: {response.text[:200]}"
            self._sleep(wait)
            wait = min(2 * wait, _LONGEST_WAIT_SECONDS)
        raise StewardUnreachableError(seen)
