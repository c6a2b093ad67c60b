"""How many handshakes the proxy refused, by listener and cause, as the proxy counts them.

Read from the metrics listener: the admin socket belongs to the proxy's own user, because who reaches it can stop
the proxy.
"""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Final

import httpx
from prometheus_client.parser import text_string_to_metric_families

_LISTENERS: Final = ("fleet", "steward", "runtime")
_PATH: Final = "/stats/prometheus?filter=" + r"^listener\..*\.ssl\.(fail_verify_|connection_error)"
_TIMEOUT: Final = 3.0


class Cause(StrEnum):
    """Why a handshake was refused."""

    NO_CERTIFICATE = "no-certificate"
    UNTRUSTED = "untrusted"
    """Another CA, another training, expired, revoked, or for another purpose."""
    WRONG_IDENTITY = "wrong-identity"
    """A certificate of this training, for another role."""
    PROTOCOL_ERROR = "protocol-error"
    """Not TLS 1.3 at all: plain text, an older version, a broken handshake."""


_COUNTERS: Final = {
    "fail_verify_no_cert": Cause.NO_CERTIFICATE,
    "fail_verify_error": Cause.UNTRUSTED,
    "fail_verify_san": Cause.WRONG_IDENTITY,
    "connection_error": Cause.PROTOCOL_ERROR,
}
_NAME: Final = re.compile(r"envoy_listener_ssl_([a-z_]+?)(?:_total)?")


class ProxyUnreachableError(ConnectionError):
    """The proxy's metrics could not be read now."""


async def read_handshakes(http: httpx.AsyncClient, address: str) -> dict[str, int]:
    """Ask the proxy at ``host:port``; see ``parse_handshakes``. Raises ProxyUnreachableError."""
    try:
        answer = (await http.get(f"http://{address}{_PATH}", timeout=_TIMEOUT)).raise_for_status()
    except httpx.HTTPError as error:
        raise ProxyUnreachableError(str(error)) from error
    return parse_handshakes(answer.text)


def parse_handshakes(text: str) -> dict[str, int]:
    """``{"fleet.no-certificate": 3, …}`` with every listener and cause, from Envoy's Prometheus text."""
    counts = {f"{listener}.{cause}": 0 for listener in _LISTENERS for cause in Cause}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            match = _NAME.fullmatch(sample.name)
            cause = _COUNTERS.get(match[1]) if match else None
            key = f"{sample.labels.get('envoy_listener_address')}.{cause}"
            if key in counts:
                counts[key] = int(sample.value)
    return counts
