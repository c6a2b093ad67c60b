"""The plain listener for probes and Prometheus; it reaches nothing but what is listed here."""

from __future__ import annotations

from shieldwall.contract import ports, routes
from shieldwall.runtime.proxy.connection_manager import connection_manager
from shieldwall.runtime.proxy.routing import ADMIN, STEWARD, SUPERLINK, at, refuse
from shieldwall.runtime.proxy.settings import Json, Settings, Side


def metrics_listener(side: Side, settings: Settings) -> Json:
    """``/ready`` and ``/stats/prometheus`` of the proxy; in the server pod also the health of what runs behind it.

    The kubelet cannot reach a pod's loopback, so its probes of SuperLink and steward come through here.
    """
    own = [at("/ready", ADMIN), at("/stats/prometheus", ADMIN)]
    behind = [
        _as_path(at(routes.HEALTH_SUPERLINK, SUPERLINK), "/health"),
        at(routes.HEALTH_STEWARD, STEWARD),
        at(routes.METRICS_STEWARD, STEWARD),
    ]
    paths = [_reading(route) for route in (own + behind if side is Side.SERVER else own)]
    return {
        "name": "metrics",
        "stat_prefix": "metrics",
        "address": {"socket_address": {"address": settings.pod_ip, "port_value": ports.METRICS}},
        "ignore_global_conn_limit": True,
        "filter_chains": [{"filters": [connection_manager(settings, "metrics", [*paths, refuse()], {})]}],
    }


def _as_path(route: Json, path: str) -> Json:
    target = route["route"]
    if not isinstance(target, dict):
        raise TypeError("only a route to a cluster has a path of its own")
    return route | {"route": target | {"prefix_rewrite": path}}


def _reading(route: Json) -> Json:
    match = route["match"]
    if not isinstance(match, dict):
        raise TypeError("a route has a match")
    get: Json = {"name": ":method", "string_match": {"exact": "GET"}}
    return route | {"match": match | {"headers": [get]}}
