"""A SuperNode that was killed stays online for the SuperLink; its successor takes it off line.

The SuperLink takes no second SuperNode with the same key until two heartbeats of the first are missed, which is a
minute. Flower's SuperNode ends when it is not taken (exit code 305), and in a pod that is a restart, with a longer
wait before each. So the successor first does what the killed one would have done at a proper end: it deactivates the
node, with the key that both have, under the number that the steward tells.

That is also how a round learns that the reply of the killed one will not come: to the aggregator's next question the
SuperLink answers that the node is unavailable, whatever had become of its message. So it stays off line for as long as
that round is open, or long enough for the aggregator to have asked.
"""

from __future__ import annotations

import logging
import ssl
import time
from contextlib import suppress
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

import httpx
from flwr.proto.fleet_pb2 import DeactivateNodeRequest
from flwr.supercore.interceptors.http.runtime_version import RuntimeVersionHttpInterceptor
from flwr.supercore.retry import RetryInvoker, exponential
from flwr.supernode.fleet_http_client import FleetHttpClient
from flwr.supernode.node_auth_http_interceptor import NodeAuthHttpInterceptor

from shieldwall.pki.node_key import public_pem
from shieldwall.runtime.attestation.signer import StewardRefusedError, StewardUnreachableError
from shieldwall.runtime.attestation.steward import StewardClient

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from cryptography.hazmat.primitives.asymmetric import ec
    from flwr.supercore.protobuf.client import ProtobufClientInterceptor
    from flwr.supercore.retry import RetryState

    from shieldwall.contract.records import OpenRound, RegisteredNode

LEAST_SECONDS: Final = 3.0
"""How long a node stays off line at least: the aggregator asks for replies twice a second."""
MOST_SECONDS: Final = 30.0
"""How long at most: the aggregator may still be sending a large model to others, and ask for nothing meanwhile."""
_LONGEST_WAIT: Final = 2
"""Seconds from one try to the next; a first round waits for all clients."""
_TOLD_AGAIN: Final = 60.0
"""Seconds after which it is said again what is waited for."""
_AGAIN: Final = frozenset(
    {
        HTTPStatus.INTERNAL_SERVER_ERROR,
        HTTPStatus.BAD_GATEWAY,
        HTTPStatus.SERVICE_UNAVAILABLE,
        HTTPStatus.GATEWAY_TIMEOUT,
    }
)
_LOG: Final = logging.getLogger("flwr")
"""Flower's own: the only one in a SuperNode's process that is shown."""


class NotYetError(Exception):
    """Neither steward nor SuperLink has an answer yet. The message is a sentence."""


def take_off_line(
    proxy: str,
    local_certificate: Path,
    key: ec.EllipticCurvePrivateKey,
    wait: Callable[[float], None] = time.sleep,
    monotonic: Callable[[], float] = time.monotonic,
) -> bool:
    """Return once the SuperLink has this node and holds nobody for online under its key; True if it held somebody.

    ``proxy``: base URL of the pod's proxy, whose certificate is ``local_certificate``. Waits as long as it takes
    until the server can be reached and the key is registered. A client that is refused is let through: Flower's
    SuperNode says so, and ends.
    """
    interceptors: list[ProtobufClientInterceptor] = [
        RuntimeVersionHttpInterceptor("SuperNode"),
        NodeAuthHttpInterceptor(key, key.public_key()),
    ]
    pinned = ssl.create_default_context(cafile=local_certificate)
    with (
        StewardClient(proxy, local_certificate, public_pem(key)) as steward,
        FleetHttpClient(proxy, interceptors=interceptors, verify=pinned) as superlink,
    ):
        predecessor = _Predecessor(steward, superlink)
        patiently = RetryInvoker(
            lambda: exponential(base_delay=0.5, max_delay=_LONGEST_WAIT),
            NotYetError,
            max_tries=None,
            max_time=None,
            on_backoff=_Told(),
            wait_function=wait,
        )
        held: bool = patiently.invoke(predecessor.deactivate)
        if held:
            _LOG.warning("The SuperLink still had a SuperNode with this key online; it is off line now")
            predecessor.stay_off_line(wait, monotonic)
    return held


@dataclass
class _Predecessor:
    """Whoever had this key before."""

    steward: StewardClient
    superlink: FleetHttpClient
    opened: OpenRound | None = None
    """The attempt that was open for this client when the node was taken off line."""
    node: RegisteredNode | None = None
    """What was taken off line."""
    may_be_done: bool = False
    """An answer was lost: the node may be off line already, and by us."""

    def deactivate(self) -> bool:
        """Whether a node was online; raises NotYetError."""
        try:
            node = self.steward.node()
            if node is not None and not node.online and not self.may_be_done:
                return False
            self.opened = self.steward() or self.opened
        except StewardUnreachableError as error:
            raise NotYetError(str(error)) from error
        except StewardRefusedError:
            return False
        if node is None:  # a steward that does not tell
            return False
        try:
            self._deactivate(node)
        except httpx.HTTPStatusError as error:
            if error.response.status_code in _AGAIN:
                self.may_be_done = True
                raise NotYetError(f"the SuperLink cannot be reached (status {error.response.status_code})") from error
            # Nobody is online any more, or Flower's SuperNode will be refused as well.
            return self.may_be_done
        except httpx.TransportError as error:
            self.may_be_done |= not isinstance(error, httpx.ConnectError)
            raise NotYetError(f"the SuperLink cannot be reached: {error}") from error
        return True

    def stay_off_line(self, wait: Callable[[float], None], monotonic: Callable[[], float]) -> None:
        """Wait until the aggregator has seen it, when a round was open.

        A predecessor that still runs is online again with its next heartbeat: it is taken off line once more.
        """
        began = monotonic()
        passed = 0.0
        while self.opened and passed < MOST_SECONDS and (passed < LEAST_SECONDS or self._is_open(self.opened)):
            wait(1.0)
            passed = monotonic() - began
        if passed and self.node:
            with suppress(httpx.HTTPError):  # off line as it was left, or Flower's SuperNode says what is wrong
                self._deactivate(self.node)

    def _deactivate(self, node: RegisteredNode) -> None:
        self.node = node
        self.superlink.DeactivateNode(DeactivateNodeRequest(node_id=int(node.node_id)))

    def _is_open(self, before: OpenRound) -> bool:
        try:
            now = self.steward()
        except StewardUnreachableError:
            return True
        except StewardRefusedError:
            return False
        return now is not None and now.nonce == before.nonce


class _Told:
    """Tells what is waited for when it is another thing than before, and now and then."""

    def __init__(self) -> None:
        self._told, self._at = "", 0.0

    def __call__(self, state: RetryState) -> None:
        reason = str(state.exception)
        if reason != self._told or state.elapsed_time >= self._at + _TOLD_AGAIN:
            _LOG.info("Waiting: %s", reason)
            self._told, self._at = reason, state.elapsed_time
