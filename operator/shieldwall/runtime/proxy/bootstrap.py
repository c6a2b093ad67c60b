"""The whole configuration of one proxy: what ``envoy -c`` reads."""

from __future__ import annotations

from typing import Final

from shieldwall.runtime.proxy.client_side import client_listener
from shieldwall.runtime.proxy.clusters import clusters
from shieldwall.runtime.proxy.metrics_listener import metrics_listener
from shieldwall.runtime.proxy.server_side import server_listeners
from shieldwall.runtime.proxy.settings import Json, Settings, Side, typed

_MAX_CONNECTIONS: Final = 1024
_MAX_HEAP: Final = 128 * 1024 * 1024
_OWNER_ONLY: Final = 0o600


def bootstrap(side: Side, settings: Settings) -> Json:
    """Envoy's bootstrap for the pod ``side``."""
    outer = server_listeners(settings) if side is Side.SERVER else [client_listener(side, settings)]
    return {
        "node": {"id": side.value, "cluster": "shieldwall"},
        # The admin interface can stop the proxy and show its configuration: a socket of the proxy's own user only.
        "admin": {"address": {"pipe": {"path": str(settings.paths.admin_socket), "mode": _OWNER_ONLY}}},
        "overload_manager": _overload_manager(),
        "static_resources": {
            "listeners": [*outer, metrics_listener(side, settings)],
            "clusters": clusters(side, settings),
        },
    }


def _overload_manager() -> Json:
    connections = typed(
        "envoy.extensions.resource_monitors.downstream_connections.v3.DownstreamConnectionsConfig",
        {"max_active_downstream_connections": _MAX_CONNECTIONS},
    )
    heap = typed("envoy.extensions.resource_monitors.fixed_heap.v3.FixedHeapConfig", {"max_heap_size_bytes": _MAX_HEAP})
    return {
        "refresh_interval": "1s",
        "resource_monitors": [
            {"name": "envoy.resource_monitors.global_downstream_max_connections", "typed_config": connections},
            {"name": "envoy.resource_monitors.fixed_heap", "typed_config": heap},
        ],
        "actions": [_action("shrink_heap", 0.85), _action("stop_accepting_requests", 0.95)],
    }


def _action(name: str, heap: float) -> Json:
    trigger: Json = {"name": "envoy.resource_monitors.fixed_heap", "threshold": {"value": heap}}
    return {"name": f"envoy.overload_actions.{name}", "triggers": [trigger]}
