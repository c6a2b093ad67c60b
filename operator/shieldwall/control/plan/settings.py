"""What the operator's installation decides, the same for all trainings."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from shieldwall import __version__

if TYPE_CHECKING:
    from collections.abc import Mapping

_NAMESPACE_LABEL: Final = "kubernetes.io/metadata.name"


@dataclass(frozen=True, slots=True)
class ContainerResources:
    """Requests and the memory limit of a container of ours. No CPU limit: throttling breaks heartbeats."""

    cpu: str
    memory: str
    memory_limit: str


@dataclass(frozen=True, slots=True)
class DnsPeer:
    """Where pods may ask for names. DNS that runs on nodes, not in pods, is matched by address only."""

    namespace_labels: Mapping[str, str] = field(default_factory=lambda: {_NAMESPACE_LABEL: "kube-system"})
    pod_labels: Mapping[str, str] = field(default_factory=lambda: {"k8s-app": "kube-dns"})
    cidrs: tuple[str, ...] = ()
    """Addresses besides the pods, such as ``169.254.20.10/32`` of a node-local cache."""


@dataclass(frozen=True, slots=True)
class PlanSettings:
    """Everything a plan goes by besides the training itself."""

    trust_domain: str = "cluster.local"
    """Of the SPIFFE identities."""
    cluster_domain: str = "cluster.local"
    """Of the cluster's DNS."""
    runtime_image: str = f"shieldwall/runtime:{__version__}"
    """Image of the containers without user code."""
    runtime_image_pull_policy: str = "IfNotPresent"
    image_pull_secrets: tuple[str, ...] = ()
    """Secrets, in each training's namespace, for the runtime image."""
    operator_namespace: str = "shieldwall-system"
    operator_labels: Mapping[str, str] = field(
        default_factory=lambda: {"app.kubernetes.io/name": "shieldwall", "app.kubernetes.io/component": "operator"}
    )
    """Labels of the operator's pods."""
    monitoring_namespace_labels: Mapping[str, str] = field(
        default_factory=lambda: {"shieldwall.dev/monitoring": "true"}
    )
    """Labels of the namespaces from which metrics may be read."""
    dns: DnsPeer = DnsPeer()
    proxy_resources: ContainerResources = ContainerResources("10m", "32Mi", "192Mi")
    superlink_resources: ContainerResources = ContainerResources("50m", "192Mi", "1Gi")
    steward_resources: ContainerResources = ContainerResources("50m", "96Mi", "512Mi")
    supernode_resources: ContainerResources = ContainerResources("50m", "160Mi", "1Gi")
    init_resources: ContainerResources = ContainerResources("10m", "64Mi", "128Mi")
    user_resources: ContainerResources = ContainerResources("100m", "256Mi", "2Gi")
    """Of trainer and aggregator when the training names none."""
