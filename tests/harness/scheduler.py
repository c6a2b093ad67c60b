"""kube-scheduler: binds pods to nodes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .companion import Companion
from .tools import binary

if TYPE_CHECKING:
    from pathlib import Path

PORT = 10259


class Scheduler(Companion):
    """Context manager around a running ApiServer."""

    name = "kube-scheduler"

    def _command(self) -> list[str | Path]:
        kubeconfig = self.server.kubeconfig("system:kube-scheduler")
        return [binary(self.name), f"--kubeconfig={kubeconfig}", *self._serving(PORT)]

    def _ready(self) -> bool:
        return self._healthy(f"https://{self.server.address}:{PORT}/readyz")
