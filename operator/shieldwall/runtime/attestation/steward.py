"""Asking the steward about this client, through the pod's own proxy, which speaks mTLS for us."""

from __future__ import annotations

import ssl
from base64 import b64encode
from typing import TYPE_CHECKING, Final, Self, TypeVar

import httpx
from pydantic import ValidationError

from shieldwall.contract.records import OpenRound, RegisteredNode
from shieldwall.contract.routes import LEAF_FAILURES_HEADER, NODE_KEY_HEADER, SIGNER_NODE, SIGNER_OPEN_ROUND
from shieldwall.runtime.attestation.signer import StewardRefusedError, StewardUnreachableError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from types import TracebackType

_TIMEOUT: Final = 10.0
_LONGEST_WORD: Final = 200
"""Characters of what the steward says that are passed on."""
_Answer = TypeVar("_Answer", OpenRound, RegisteredNode)
_DENIED: Final = frozenset({httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN})


class UnreadableAnswerError(StewardUnreachableError):
    """The steward answers in another form than is asked for; one of another version may."""


class StewardClient:
    """Fetches what the steward has for this client; an instance is what Signer takes as ``fetch_open_round``."""

    def __init__(
        self, proxy: str, local_certificate: Path, node_public_pem: str, leaf_failures: Callable[[], int] = lambda: 0
    ) -> None:
        """``proxy``: base URL of the pod's proxy, whose certificate is ``local_certificate`` and no other.

        The gate wants to see the node key that is registered for the certificate, as Flower sends it.
        ``leaf_failures`` goes along: nobody reads metrics in this pod, and the steward has some.
        """
        self._leaf_failures = leaf_failures
        self._client = httpx.Client(
            base_url=proxy,
            verify=ssl.create_default_context(cafile=local_certificate),
            headers={NODE_KEY_HEADER: b64encode(node_public_pem.encode("ascii")).decode("ascii")},
            timeout=_TIMEOUT,
            trust_env=False,
            # One request a round: a kept connection would be dead by the next.
            limits=httpx.Limits(max_keepalive_connections=0),
        )

    def __call__(self) -> OpenRound | None:
        """The round that is open for this client; raises StewardUnreachableError or StewardRefusedError."""
        return self._get(SIGNER_OPEN_ROUND, OpenRound)

    def node(self) -> RegisteredNode | None:
        """What the SuperLink calls this client, None when the steward does not tell; raises as a call does."""
        try:
            return self._get(SIGNER_NODE, RegisteredNode)
        except UnreadableAnswerError:
            return None

    def _get(self, route: str, kind: type[_Answer]) -> _Answer | None:
        try:
            response = self._client.get(route, headers={LEAF_FAILURES_HEADER: str(self._leaf_failures())})
        except httpx.HTTPError as error:
            raise StewardUnreachableError(f"the steward cannot be reached: {error}") from error
        if response.status_code == httpx.codes.NOT_FOUND:
            return None
        if response.status_code in _DENIED:
            raise StewardRefusedError(f"the gate refuses this client ({response.status_code})")
        if response.status_code != httpx.codes.OK:
            said = f"{response.status_code}: {response.text[:_LONGEST_WORD]}"
            raise StewardUnreachableError(f"the steward has no answer yet ({said})")
        try:
            return kind.model_validate_json(response.content)
        except ValidationError as error:
            raise UnreadableAnswerError(f"the steward's answer is not what is asked for: {kind.__name__}") from error

    def close(self) -> None:
        """Give back what the client holds."""
        self._client.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
