"""The way out of client and aggregator pods: TLS on loopback in, mutual TLS to the server's identity out."""

from __future__ import annotations

from typing import Final

from shieldwall.contract import ports, routes
from shieldwall.runtime.proxy import access_log, tls
from shieldwall.runtime.proxy.connection_manager import connection_manager
from shieldwall.runtime.proxy.routing import SERVER, below, refuse, under_host
from shieldwall.runtime.proxy.settings import Json, Settings, Side

SMALL_BUFFER: Final = 65_536
"""On a slow link a proxy that swallows a 5 MiB object at once starts Flower's 30 s read timeout too early."""
_LETS_OUT: Final = {
    Side.CLIENT: (routes.FLEET_PREFIX, routes.SIGNER_PREFIX),
    Side.AGGREGATOR: (routes.RUNTIME_PREFIX, routes.ROUNDS_PREFIX),
}


def client_listener(side: Side, settings: Settings) -> Json:
    """The loopback listener of a client's or the aggregator's pod; lets out only what that pod may ask for."""
    ways = [under_host(below(prefix, SERVER), settings.server_name) for prefix in _LETS_OUT[side]]
    more: Json = {"access_log": access_log.failed_requests("local")}
    chain: Json = {
        "transport_socket": tls.local_downstream(settings),
        "filters": [connection_manager(settings, "local", [*ways, refuse()], more)],
    }
    # Linux: level 1 is SOL_SOCKET, name 8 is SO_RCVBUF.
    receive: Json = {"level": 1, "name": 8, "int_value": SMALL_BUFFER, "state": "STATE_PREBIND"}
    return {
        "name": "local",
        "stat_prefix": "local",
        "address": {"socket_address": {"address": settings.loopback, "port_value": ports.PROXY}},
        "per_connection_buffer_limit_bytes": SMALL_BUFFER,
        "socket_options": [receive],
        "filter_chains": [chain],
    }
