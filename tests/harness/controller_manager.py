"""kube-controller-manager: garbage collection, namespaces, service accounts, Deployments, StatefulSets, claims."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .companion import Companion
from .tools import binary

if TYPE_CHECKING:
    from pathlib import Path

PORT = 10257


class ControllerManager(Companion):
    """Context manager; it has started once the default namespace has its service account and CA bundle.

    Each controller is a user of its own, as in ``system:serviceaccount:kube-system:generic-garbage-collector``.
    """

    name = "kube-controller-manager"

    def _command(self) -> list[str | Path]:
        pki, kubeconfig = self.server.pki, self.server.kubeconfig("system:kube-controller-manager")
        return [
            binary(self.name), f"--kubeconfig={kubeconfig}", "--use-service-account-credentials",
            f"--root-ca-file={pki / 'ca.crt'}", f"--service-account-private-key-file={pki / 'service-accounts.key'}",
            "--node-monitor-grace-period=24h",  # fake nodes send no heartbeats
            "--kube-api-qps=500", "--kube-api-burst=1000", "--pvclaimbinder-sync-period=1s",
            *self._serving(PORT),
        ]  # fmt: skip

    def _ready(self) -> bool:
        namespace = "/api/v1/namespaces/default"
        return (
            self._healthy(f"https://{self.server.address}:{PORT}/healthz")
            and self._object(f"{namespace}/serviceaccounts/default") is not None
            and self._object(f"{namespace}/configmaps/kube-root-ca.crt") is not None
        )
