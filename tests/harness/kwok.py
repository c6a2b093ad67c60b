"""kwok: fake nodes whose pods become Ready at once and go at once, and claims that are bound at once."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from .companion import Companion
from .tools import binary

if TYPE_CHECKING:
    from .apiserver import ApiServer

PORT = 10247
STAGES = Path(__file__).with_name("stages.yaml")
STORAGE_CLASS: dict[str, Any] = {
    "apiVersion": "storage.k8s.io/v1",
    "kind": "StorageClass",
    "metadata": {"name": "kwok", "annotations": {"storageclass.kubernetes.io/is-default-class": "true"}},
    "provisioner": "kwok.x-k8s.io/volume",
}


class Kwok(Companion):
    """Context manager; it has started once the nodes are Ready and may be used. Needs a ControllerManager."""

    name = "kwok"

    def __init__(self, server: ApiServer, nodes: int = 1) -> None:
        super().__init__(server)
        self._nodes = [f"/api/v1/nodes/node-{number}" for number in range(nodes)]

    def _command(self) -> list[str | Path]:
        kubeconfig = self.server.kubeconfig("kwok", ["system:masters"])
        for path in self._nodes:
            self.server.request("PATCH", path, _node(path))
        self.server.request("PATCH", "/apis/storage.k8s.io/v1/storageclasses/kwok", STORAGE_CLASS)
        return [
            binary(self.name), f"--kubeconfig={kubeconfig}", f"--config={STAGES}", "--manage-all-nodes",
            "--cidr=10.244.0.0/16", f"--node-ip={self.server.address}",
            f"--server-address={self.server.address}:{PORT}",
        ]  # fmt: skip

    def _ready(self) -> bool:
        return all(map(self._usable, self._nodes))

    def _usable(self, path: str) -> bool:
        """Ready, and the node lifecycle controller has taken its not-ready taint away."""
        node = self._object(path) or {}
        conditions = node.get("status", {}).get("conditions", [])
        ready = any(condition["type"] == "Ready" and condition["status"] == "True" for condition in conditions)
        return ready and not node["spec"].get("taints")


def _node(path: str) -> dict[str, Any]:
    name = path.rpartition("/")[2]
    return {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "labels": {"kubernetes.io/hostname": name}}}
