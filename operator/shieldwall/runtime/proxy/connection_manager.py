"""The HTTP connection manager: how strictly requests are read before anything looks at them."""

from __future__ import annotations

from typing import Final

from shieldwall.contract.routes import CLIENT_HEADER
from shieldwall.runtime.proxy.settings import Json, Settings, typed

_IDLE: Final = "90s"
_STREAM_IDLE: Final = "120s"
_HTTP: Final = "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"
_ROUTER: Final[Json] = {
    "name": "envoy.filters.http.router",
    "typed_config": typed("envoy.extensions.filters.http.router.v3.Router"),
}


def connection_manager(
    settings: Settings, listener: str, routes: list[Json], more: Json, filters: list[Json] | None = None
) -> Json:
    """The network filter that serves ``routes`` over HTTP/1.1, through ``filters`` and then the router.

    Paths are normalised before routing, and what could be read in two ways is refused: escaped slashes, header
    names with underscores, HTTP/2 by prior knowledge. ``x-shieldwall-client`` is only ever set by the gate: it is
    removed before any filter or route sees the request.
    """
    config: Json = {
        "stat_prefix": listener,
        "codec_type": "HTTP1",
        "server_name": "shieldwall",
        "normalize_path": True,
        "merge_slashes": True,
        "path_with_escaped_slashes_action": "REJECT_REQUEST",
        "request_headers_timeout": "10s",
        "stream_idle_timeout": _STREAM_IDLE,
        "max_request_headers_kb": 32,
        "generate_request_id": False,
        "common_http_protocol_options": {
            "idle_timeout": _IDLE,
            "max_connection_duration": f"{settings.max_connection}s",
            "headers_with_underscores_action": "REJECT_REQUEST",
        },
        "early_header_mutation_extensions": [_without(CLIENT_HEADER)],
        "http_filters": [*(filters or []), _ROUTER],
        "route_config": {"virtual_hosts": [_host(listener, routes)]},
        **more,
    }
    return {"name": "http", "typed_config": typed(_HTTP, config)}


def _host(listener: str, routes: list[Json]) -> Json:
    return {"name": listener, "domains": ["*"], "routes": routes}


def _without(header: str) -> Json:
    mutation = typed(
        "envoy.extensions.http.early_header_mutation.header_mutation.v3.HeaderMutation",
        {"mutations": [{"remove": header}]},
    )
    return {"name": "envoy.http.early_header_mutation.header_mutation", "typed_config": mutation}
