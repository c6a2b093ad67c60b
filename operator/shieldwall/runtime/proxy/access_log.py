"""Access logs: one JSON object a line on standard output, for people, log collectors and local mode's report.

Every line has ``kind``, ``time``, ``listener``, ``peer`` (address), ``san`` and ``serial`` (of the peer's
certificate) and ``tls`` (why a handshake failed); a request's line also ``code``, ``flags``, ``method``, ``path``
and ``details``.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from shieldwall.runtime.proxy.settings import Json, typed


class Kind(StrEnum):
    """What a line of the log speaks of."""

    CONNECTION = "connection"
    """A connection that was refused in the handshake; nowhere else is it explained."""
    REQUEST = "request"
    """A request that was answered with 400 or more."""
    UPSTREAM = "upstream"
    """The same on the way out, with the reason why the server could not be reached."""


_PEER: Final[Json] = {
    "time": "%START_TIME%",
    "peer": "%DOWNSTREAM_REMOTE_ADDRESS%",
    "san": "%DOWNSTREAM_PEER_URI_SAN%",
    "serial": "%DOWNSTREAM_PEER_SERIAL%",
}
_REQUEST: Final[Json] = {
    "code": "%RESPONSE_CODE%",
    "flags": "%RESPONSE_FLAGS%",
    "method": "%REQ(:METHOD)%",
    "path": "%REQ(:PATH)%",
    "details": "%RESPONSE_CODE_DETAILS%",
}


def refused_connections(listener: str) -> list[Json]:
    """Log each connection to ``listener`` that ended in the handshake."""
    fields = {**_PEER, "tls": "%DOWNSTREAM_TRANSPORT_FAILURE_REASON%"}
    return [_stdout(Kind.CONNECTION, listener, fields) | {"filter": _handshake_failed()}]


def refused_requests(listener: str) -> list[Json]:
    """Log each request of a listener for other pods that was answered with 400 or more."""
    fields = {**_PEER, "tls": "%DOWNSTREAM_TRANSPORT_FAILURE_REASON%", **_REQUEST}
    return [_stdout(Kind.REQUEST, listener, fields) | {"filter": _at_least_400()}]


def failed_requests(listener: str) -> list[Json]:
    """Log each request out of the pod that failed, with what went wrong in the handshake with the server."""
    fields = {**_PEER, "tls": "%UPSTREAM_TRANSPORT_FAILURE_REASON%", **_REQUEST}
    return [_stdout(Kind.UPSTREAM, listener, fields) | {"filter": _at_least_400()}]


def _handshake_failed() -> Json:
    expression: Json = {"expression": "has(connection.transport_failure_reason)"}
    name = "envoy.extensions.access_loggers.filters.cel.v3.ExpressionFilter"
    cel: Json = {"name": "envoy.access_loggers.extension_filters.cel", "typed_config": typed(name, expression)}
    return {"extension_filter": cel}


def _at_least_400() -> Json:
    value: Json = {"default_value": 400, "runtime_key": "shieldwall.log_status"}
    return {"status_code_filter": {"comparison": {"op": "GE", "value": value}}}


def _stdout(kind: Kind, listener: str, fields: Json) -> Json:
    stream = typed(
        "envoy.extensions.access_loggers.stream.v3.StdoutAccessLog",
        {"log_format": {"json_format": {"kind": kind, "listener": listener, **fields}}},
    )
    return {"name": "stdout", "typed_config": stream}
