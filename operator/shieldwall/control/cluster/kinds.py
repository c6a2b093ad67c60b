"""The kinds of objects that the operator reads and writes, and their paths."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from shieldwall.control.api import budget
from shieldwall.control.api.training import API_VERSION, KIND, PLURAL


@dataclass(frozen=True, slots=True)
class Kind:
    """A namespaced kind."""

    api_version: str
    kind: str
    plural: str

    @property
    def group(self) -> str:
        """Its API group; empty for the core."""
        group, slash, _ = self.api_version.partition("/")
        return group if slash else ""

    @property
    def version(self) -> str:
        """Its version within the group."""
        return self.api_version.rpartition("/")[2]

    def path(self, namespace: str | None = None, name: str | None = None, subresource: str | None = None) -> str:
        """The URL's path of a collection (of all namespaces, or one), an object, or its subresource."""
        parts = ["apis" if self.group else "api", self.api_version]
        if namespace is not None:
            parts += ["namespaces", namespace]
        parts.append(self.plural)
        parts += [part for part in (name, subresource) if part is not None]
        return "/" + "/".join(parts)


TRAINING: Final = Kind(API_VERSION, KIND, PLURAL)
BUDGET: Final = Kind(API_VERSION, budget.KIND, budget.PLURAL)
SECRET: Final = Kind("v1", "Secret", "secrets")
CONFIG_MAP: Final = Kind("v1", "ConfigMap", "configmaps")
SERVICE: Final = Kind("v1", "Service", "services")
SERVICE_ACCOUNT: Final = Kind("v1", "ServiceAccount", "serviceaccounts")
NETWORK_POLICY: Final = Kind("networking.k8s.io/v1", "NetworkPolicy", "networkpolicies")
DISRUPTION_BUDGET: Final = Kind("policy/v1", "PodDisruptionBudget", "poddisruptionbudgets")
STATEFUL_SET: Final = Kind("apps/v1", "StatefulSet", "statefulsets")
DEPLOYMENT: Final = Kind("apps/v1", "Deployment", "deployments")
VOLUME_CLAIM: Final = Kind("v1", "PersistentVolumeClaim", "persistentvolumeclaims")
POD: Final = Kind("v1", "Pod", "pods")
EVENT: Final = Kind("events.k8s.io/v1", "Event", "events")
LEASE: Final = Kind("coordination.k8s.io/v1", "Lease", "leases")

OWNED: Final = (
    SERVICE_ACCOUNT,
    NETWORK_POLICY,
    CONFIG_MAP,
    SERVICE,
    DISRUPTION_BUDGET,
    SECRET,
    STATEFUL_SET,
    DEPLOYMENT,
)
"""What a training owns, each watched by its label."""

OURS: Final = (TRAINING, BUDGET)
"""The kinds that this operator defines: people write their specs, and it their status."""

BY_NAME: Final = {kind.kind: kind for kind in OWNED}
