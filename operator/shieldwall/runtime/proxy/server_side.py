"""The server pod's listeners: one port for each role, so that the wrong role fails in the handshake already."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from shieldwall.contract import ports, routes
from shieldwall.runtime.proxy import access_log, tls
from shieldwall.runtime.proxy.connection_manager import connection_manager
from shieldwall.runtime.proxy.gate_filters import gate_filters
from shieldwall.runtime.proxy.routing import (
    STEWARD,
    SUPERLINK,
    at,
    at_most,
    below,
    refuse,
    show_body,
    show_certificate,
    ungated,
)
from shieldwall.runtime.proxy.settings import Json, Settings, typed

if TYPE_CHECKING:
    from shieldwall.contract.identity import Federation

FLEET: Final = "fleet"
STEWARD_LISTENER: Final = "steward"
RUNTIME: Final = "runtime"
LISTENERS: Final = (FLEET, STEWARD_LISTENER, RUNTIME)
"""The names of the mutual TLS listeners, as they stand in logs and statistics."""

MAX_PUSH: Final = 4 * 1024 * 1024
"""push-messages carries metadata and object ids, not arrays; the gate reads all of it."""
MAX_OBJECT: Final = 8 * 1024 * 1024
"""Flower cuts arrays into objects of 5 MiB; every other call is smaller."""
_BUFFER: Final = 1024 * 1024
_MAX_CONNECTIONS: Final = 512


@dataclass(frozen=True, slots=True)
class _Door:
    """One listener: who may come in, and what for."""

    name: str
    port: int
    peer: Json
    routes: list[Json]
    filters: list[Json]


def server_listeners(settings: Settings) -> list[Json]:
    """The listeners of the fleet (clients), the steward (operator) and the runtime (aggregator)."""
    federation = settings.federation
    return [_listener(settings, door) for door in (_fleet(federation), _steward(federation), _runtime(federation))]


def _fleet(federation: Federation) -> _Door:
    """For clients: the calls a SuperNode makes, each by its exact path, and the signer's.

    Exact, because Flower unescapes paths once more than a prefix would see: ``/v1/fleet/push%2Dmessages`` must not
    pass the gate as some other call whose body nobody looks at.
    """
    push = show_body(at(routes.FLEET_PUSH_MESSAGES, SUPERLINK), MAX_PUSH)
    others = [
        at_most(at(path, SUPERLINK), MAX_OBJECT) for path in routes.FLEET_CALLS if path != routes.FLEET_PUSH_MESSAGES
    ]
    ways = [push, *others, below(routes.SIGNER_PREFIX, STEWARD), ungated(refuse())]
    return _Door(FLEET, ports.FLEET, tls.beginning_with(f"{federation.prefix}/client/"), ways, gate_filters())


def _steward(federation: Federation) -> _Door:
    ways = [below(routes.OPERATOR_PREFIX, STEWARD), refuse()]
    return _Door(STEWARD_LISTENER, ports.STEWARD, tls.exactly(federation.operator().uri), ways, [])


def _runtime(federation: Federation) -> _Door:
    rounds = show_certificate(below(routes.ROUNDS_PREFIX, STEWARD))
    ways = [below(routes.RUNTIME_PREFIX, SUPERLINK), rounds, refuse()]
    return _Door(RUNTIME, ports.RUNTIME, tls.exactly(federation.aggregator().uri), ways, [])


def _listener(settings: Settings, door: _Door) -> Json:
    limit = typed(
        "envoy.extensions.filters.network.connection_limit.v3.ConnectionLimit",
        {"stat_prefix": door.name, "max_connections": _MAX_CONNECTIONS},
    )
    more: Json = {
        "use_remote_address": True,
        "forward_client_cert_details": "SANITIZE_SET",
        "set_current_client_cert_details": {"uri": True, "cert": True},
        "access_log": access_log.refused_requests(door.name),
    }
    chain: Json = {
        "transport_socket_connect_timeout": "10s",
        "transport_socket": tls.mutual_downstream(settings, door.peer),
        "filters": [
            {"name": "connection_limit", "typed_config": limit},
            connection_manager(settings, door.name, door.routes, more, door.filters),
        ],
    }
    return {
        "name": door.name,
        "stat_prefix": door.name,
        "address": {"socket_address": {"address": settings.pod_ip, "port_value": door.port}},
        "per_connection_buffer_limit_bytes": _BUFFER,
        "access_log": access_log.refused_connections(door.name),
        "filter_chains": [chain],
    }
