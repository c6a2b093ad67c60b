"""Where requests go: unix sockets and loopback in the server pod, the server's Service from the others."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from shieldwall.contract import ports
from shieldwall.runtime.proxy import tls
from shieldwall.runtime.proxy.client_side import SMALL_BUFFER
from shieldwall.runtime.proxy.routing import ADMIN, SERVER, STEWARD, SUPERLINK
from shieldwall.runtime.proxy.settings import Json, Settings, Side, typed

if TYPE_CHECKING:
    from pathlib import Path

_UVICORN_IDLE: Final = "4s"
"""uvicorn closes idle connections after 5 s; Envoy lets go first, so no request meets a closing one."""
_UNSENT: Final = 131_072
_HTTP: Final = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"


def clusters(side: Side, settings: Settings) -> list[Json]:
    """The clusters of one pod."""
    admin = _static(ADMIN, _pipe(settings.paths.admin_socket))
    match side:
        case Side.SERVER:
            return [_superlink(settings), _steward(settings), admin]
        case Side.AGGREGATOR:
            return [_server(settings, ports.RUNTIME), admin]
        case Side.CLIENT:
            return [_server(settings, ports.FLEET), admin]


def _superlink(settings: Settings) -> Json:
    limits: Json = {"max_connections": 256, "max_pending_requests": 256, "max_requests": 512, "max_retries": 16}
    return _static(SUPERLINK, _socket(settings.loopback, ports.SUPERLINK)) | {
        "connect_timeout": "2s",
        "per_connection_buffer_limit_bytes": 1024 * 1024,
        "circuit_breakers": {"thresholds": [limits]},
        "typed_extension_protocol_options": _http({"idle_timeout": _UVICORN_IDLE}),
        "transport_socket": tls.local_upstream(settings),
    }


def _steward(settings: Settings) -> Json:
    options: Json = {"typed_extension_protocol_options": _http({"idle_timeout": _UVICORN_IDLE})}
    return _static(STEWARD, _pipe(settings.paths.steward_socket)) | options


def _server(settings: Settings, port: int) -> Json:
    # Linux: level 6 is TCP, name 25 is TCP_NOTSENT_LOWAT.
    low: Json = {"level": 6, "name": 25, "int_value": _UNSENT, "state": "STATE_PREBIND"}
    host = settings.server_address or settings.server_name
    found: Json = (
        {"type": "STATIC"} if settings.server_address else {"type": "STRICT_DNS", "dns_lookup_family": "V4_PREFERRED"}
    )
    options = _http({"idle_timeout": "60s", "max_connection_duration": f"{settings.max_connection}s"})
    return _static(SERVER, _socket(host, port)) | {
        **found,
        "connect_timeout": "5s",
        "per_connection_buffer_limit_bytes": SMALL_BUFFER,
        "upstream_bind_config": {"socket_options": [low]},
        "typed_extension_protocol_options": options,
        "transport_socket": tls.mutual_upstream(settings, settings.federation.server().uri),
    }


def _static(name: str, address: Json) -> Json:
    endpoint: Json = {"endpoint": {"address": address}}
    return {
        "name": name,
        "type": "STATIC",
        "connect_timeout": "1s",
        "load_assignment": {"cluster_name": name, "endpoints": [{"lb_endpoints": [endpoint]}]},
    }


def _http(common: Json) -> Json:
    options: Json = {
        "common_http_protocol_options": common,
        "explicit_http_config": {"http_protocol_options": {}},
    }
    return {_HTTP: typed(_HTTP, options)}


def _pipe(path: Path) -> Json:
    return {"pipe": {"path": str(path)}}


def _socket(host: str, port: int) -> Json:
    return {"socket_address": {"address": host, "port_value": port}}
