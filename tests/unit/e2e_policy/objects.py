"""Objects as the API server gives them, and the ruleset that the agent makes of them."""

from __future__ import annotations

from ipaddress import IPv4Network
from typing import Any

from kubernetes.aio.client import V1Namespace, V1NetworkPolicy, V1Pod
from policy.ruleset import Ruleset, ruleset

Json = dict[str, Any]
POD_CIDR = "10.244.0.0/24"


def pod(
    name: str, address: str | None, labels: dict[str, str] | None = None, namespace: str = "fed", **more: Any
) -> Json:
    """``more``: phase, ports, init_containers, host_network."""
    status: Json = {"phase": more.get("phase", "Running")}
    if address is not None:
        status |= {"podIP": address, "podIPs": [{"ip": address}]}
    return {
        "metadata": {"name": name, "namespace": namespace, "uid": f"{namespace}/{name}", "labels": labels or {}},
        "spec": {
            "hostNetwork": more.get("host_network", False),
            "containers": [{"name": "main", "ports": more.get("ports", [])}],
            "initContainers": more.get("init_containers", []),
        },
        "status": status,
    }


def namespace(name: str, **labels: str) -> Json:
    return {"metadata": {"name": name, "uid": name, "labels": labels}}


def policy(name: str = "p", where: str = "fed", **spec: Any) -> Json:
    return {
        "metadata": {"name": name, "namespace": where, "uid": f"{where}/{name}"},
        "spec": {"podSelector": {}, **spec},
    }


def computed(pods: list[Json], namespaces: list[Json], policies: list[Json], pod_cidr: str = POD_CIDR) -> Ruleset:
    return ruleset(
        [V1Pod.from_dict(each) for each in pods],
        [V1Namespace.from_dict(each) for each in namespaces],
        [V1NetworkPolicy.from_dict(each) for each in policies],
        IPv4Network(pod_cidr),
    )
