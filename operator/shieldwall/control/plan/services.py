"""Services, and the DNS names of the server."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kubernetes.client import V1Service, V1ServicePort, V1ServiceSpec

from shieldwall.contract import ports
from shieldwall.control.plan.labels import Component, metadata, selector

if TYPE_CHECKING:
    from collections.abc import Mapping

    from shieldwall.control.api.training import Training
    from shieldwall.control.plan.names import Names
    from shieldwall.control.plan.settings import PlanSettings

_SERVER_PORTS = {"fleet": ports.FLEET, "steward": ports.STEWARD, "runtime": ports.RUNTIME}


def server_host(training: Training, settings: PlanSettings, names: Names) -> str:
    """The name by which the training's pods reach the server: the whole of it, since pods have ndots 1."""
    return f"{names.server}.{training.namespace}.svc.{settings.cluster_domain}"


def server_dns_names(training: Training, settings: PlanSettings, names: Names) -> tuple[str, ...]:
    """All names of the server's Service, for its certificate."""
    return (
        names.server,
        f"{names.server}.{training.namespace}",
        f"{names.server}.{training.namespace}.svc",
        server_host(training, settings, names),
    )


def services(training: Training, names: Names) -> tuple[V1Service, ...]:
    """The server's Service, and those that StatefulSets ask for.

    The first leaves out a server that is not ready. A client that comes before its node is registered is told to try
    again by the gate.
    """
    return (
        _service(training, names.server, Component.SERVER, _SERVER_PORTS, headless=False),
        _service(training, names.server_headless, Component.SERVER, _SERVER_PORTS, headless=True),
        _service(training, names.aggregator, Component.AGGREGATOR, {"metrics": ports.METRICS}, headless=True),
    )


def _service(
    training: Training, name: str, component: Component, by_name: Mapping[str, int], *, headless: bool
) -> V1Service:
    return V1Service(
        api_version="v1",
        kind="Service",
        metadata=metadata(training, name, component),
        spec=V1ServiceSpec(
            cluster_ip="None" if headless else None,
            publish_not_ready_addresses=True if headless else None,
            ports=[
                V1ServicePort(name=each, port=port, protocol="TCP", target_port=port) for each, port in by_name.items()
            ],
            selector=selector(training, component),
            type="ClusterIP",
        ),
    )
