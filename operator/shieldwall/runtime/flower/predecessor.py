"""A SuperNode that was killed stays online for the SuperLink; its successor takes it off line.

The SuperLink takes no second SuperNode with the same key until two heartbeats of the first are missed, which is a
minute. Flower's SuperNode ends when it is not taken (exit code 305), and in a pod that is a restart, with a longer
wait before each. So the successor first does what the killed one would have done at a proper end: it deactivates the
node, with the key that both have, under the number that the steward tells. That is also how a round learns that the
reply of the killed one will not come.
"""

from __future__ import annotations

import logging
import ssl
import time
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

SEEN_SECONDS: Final = 3.0
"""How long a node stays off line: the aggregator asks for replies twice a second."""
_LONGEST_WAIT: Final = 2
"""Seconds from one try to the next; a first round waits for all clients."""
_AGAIN: Final = frozenset({HTTPStatus.BAD_GATEWAY, HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.GATEWAY_TIMEOUT})
_LOG: Final = logging.getLogger("flwr")
"""Flower's own: the only one in a SuperNode's process that is shown."""


class NotYetError(Exception):
    """Neither steward nor SuperLink has an answer yet. The message is a sentence."""


def take_off_line(
    proxy: str,
    local_certificate: Path,
    key: ec.EllipticCurvePrivateKey,
    wait: Callable[[float], None] = time.sleep,
) -> bool:
    """Return once the SuperLink has this node and holds nobody for online under its key; True if it held somebody.

    ``proxy``: base URL of the pod's proxy, whose certificate is ``local_certificate``. Waits as long as it takes
    until the server can be reached and the key is registered. A client that is refused is let through: Flower's
    SuperNode says so, and ends.
    """
    patiently = RetryInvoker(
        lambda: exponential(base_delay=0.5, max_delay=_LONGEST_WAIT),
        NotYetError,
        max_tries=None,
        max_time=None,
        on_backoff=_Once(),
        wait_function=wait,
    )
    held: bool = patiently.invoke(_deactivate, proxy, local_certificate, key)
    if held:
        _LOG.warning("The SuperLink still had a SuperNode with this key online; it is off line now")
        wait(SEEN_SECONDS)
    return held


def _deactivate(proxy: str, local_certificate: Path, key: ec.EllipticCurvePrivateKey) -> bool:
    """Whether a node was online; raises NotYetError."""
    with StewardClient(proxy, local_certificate, public_pem(key)) as steward:
        try:
            node = steward.node()
        except StewardUnreachableError as error:
            raise NotYetError(str(error)) from error
        except StewardRefusedError:
            return False
    if node is None:
        raise NotYetError("the SuperLink does not have this node yet")
    if not node.online:
        return False
    interceptors: list[ProtobufClientInterceptor] = [
        RuntimeVersionHttpInterceptor("SuperNode"),
        NodeAuthHttpInterceptor(key, key.public_key()),
    ]
    pinned = ssl.create_default_context(cafile=local_certificate)
    with FleetHttpClient(proxy, interceptors=interceptors, verify=pinned) as superlink:
        try:
            superlink.DeactivateNode(DeactivateNodeRequest(node_id=node.node_id))
        except httpx.HTTPStatusError as error:
            if error.response.status_code in _AGAIN:
                raise NotYetError(f"the SuperLink cannot be reached (status {error.response.status_code})") from error
            return False  # nobody is online any more, or Flower's SuperNode will be refused as well
        except httpx.TransportError as error:
            raise NotYetError(f"the SuperLink cannot be reached: {error}") from error
    return True


class _Once:
    """Tells the reason for a wait when it is another than before."""

    def __init__(self) -> None:
        self._told = ""

    def __call__(self, state: RetryState) -> None:
        if (reason := str(state.exception)) != self._told:
            _LOG.info("Waiting: %s", reason)
            self._told = reason
