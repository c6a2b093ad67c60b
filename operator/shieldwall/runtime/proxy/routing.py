"""Routes: which path goes to which cluster. Everything that is not named is answered by the proxy itself."""

from __future__ import annotations

from typing import Final

from shieldwall.contract.routes import CLIENT_HEADER
from shieldwall.runtime.proxy.settings import Json, typed

SUPERLINK: Final = "superlink"
STEWARD: Final = "steward"
SERVER: Final = "server"
ADMIN: Final = "admin"

_TIMEOUT: Final = "120s"
"""Of one request; Envoy's default of 15 s is too short for a 5 MiB object on a slow link."""
_RETRY: Final[Json] = {"retry_on": "connect-failure,refused-stream,reset-before-request", "num_retries": 2}
CERTIFICATE: Final = "x-forwarded-client-cert"
"""The header in which the proxy, and nobody else, writes the certificate of the peer."""
EXT_AUTHZ: Final = "envoy.filters.http.ext_authz"
_PER_ROUTE: Final = "envoy.extensions.filters.http.ext_authz.v3.ExtAuthzPerRoute"


def below(prefix: str, cluster: str) -> Json:
    """Requests whose path begins with ``prefix`` go to ``cluster``."""
    return _route({"prefix": prefix}, cluster)


def at(path: str, cluster: str) -> Json:
    """Requests for exactly ``path`` go to ``cluster``."""
    return _route({"path": path}, cluster)


def at_most(route: Json, limit: int) -> Json:
    """Only requests that say how long their body is, and say at most ``limit`` bytes; the proxy holds them to it.

    Flower reads a whole body into memory whatever its length. A body without a length (chunked) is never a SuperNode's.
    """
    match = route["match"]
    if not isinstance(match, dict):
        raise TypeError("a route has a match")
    length: Json = {"name": "content-length", "range_match": {"start": 0, "end": limit + 1}}
    return route | {"match": match | {"headers": [length]}}


def show_body(route: Json, limit: int) -> Json:
    """Let the gate read the request's body, at most ``limit`` bytes; a longer one is refused."""
    settings: Json = {"with_request_body": {"max_request_bytes": limit, "allow_partial_message": False}}
    return route | {"typed_per_filter_config": {EXT_AUTHZ: typed(_PER_ROUTE, {"check_settings": settings})}}


def refuse() -> Json:
    """Answer everything else with 403. A SuperNode never asks for it, so never sees the 403 it would loop on."""
    return {"match": {"prefix": "/"}, "direct_response": {"status": 403}}


def show_certificate(route: Json) -> Json:
    """Let who answers see the peer's certificate; elsewhere only the gate sees it."""
    removed = route["request_headers_to_remove"]
    if not isinstance(removed, list):
        raise TypeError("only a route to a cluster shows anything")
    return route | {"request_headers_to_remove": [name for name in removed if name != CERTIFICATE]}


def ungated(route: Json) -> Json:
    """Do not trouble the gate with this route."""
    return route | {"typed_per_filter_config": {EXT_AUTHZ: typed(_PER_ROUTE, {"disabled": True})}}


def under_host(route: Json, host: str) -> Json:
    """Send the request under the name ``host``."""
    target = route["route"]
    if not isinstance(target, dict):
        raise TypeError("only a route to a cluster can be renamed")
    return route | {"route": target | {"host_rewrite_literal": host}}


def _route(match: Json, cluster: str) -> Json:
    route: Json = {"match": match, "route": {"cluster": cluster, "timeout": _TIMEOUT, "retry_policy": _RETRY}}
    # What the gate found out is for the steward; Flower sees requests as if there were no gate.
    return route | {"request_headers_to_remove": [CERTIFICATE, *([CLIENT_HEADER] if cluster == SUPERLINK else [])]}
