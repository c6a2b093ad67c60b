"""Names, addresses and paths of one cluster; all follow from its directory."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from ipaddress import IPv4Address, IPv4Network
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pathlib import Path

POD_NETWORK: Final = IPv4Network("10.244.0.0/24")
SERVICE_NETWORK: Final = IPv4Network("10.96.0.0/16")
API_SERVICE: Final = SERVICE_NETWORK[1]
DNS_SERVICE: Final = SERVICE_NETWORK[10]
DOMAIN: Final = "cluster.local"
NODE_NAME: Final = "node-1"
STORAGE_CLASS: Final = "standard"
_NODES: Final = IPv4Network("198.18.0.0/15")
"""Set aside for tests of networks (RFC 2544); each cluster takes a /30 of it."""


@dataclass(frozen=True)
class Layout:
    """Where a cluster keeps what. Two directories never share a name, and hardly ever an address."""

    directory: Path
    """Absolute."""

    @property
    def name(self) -> str:
        """Of the network namespace and of the cgroups."""
        return f"shieldwall-{self._digest.hex()[:8]}"

    @property
    def link(self) -> str:
        """The host's end of the cable to the node; at most 15 characters, as the kernel asks."""
        return f"sw-{self._digest.hex()[:8]}"

    @property
    def network(self) -> IPv4Network:
        """Between host and node."""
        offset = int.from_bytes(self._digest[:4]) % (_NODES.num_addresses // 4) * 4
        return IPv4Network((_NODES[offset], 30))

    @property
    def host(self) -> IPv4Address:
        """The host as the node sees it."""
        return self.network[1]

    @property
    def node(self) -> IPv4Address:
        """The node; reachable from the host."""
        return self.network[2]

    @property
    def api(self) -> str:
        """URL of the API server."""
        return f"https://{self.node}:6443"

    @property
    def state(self) -> Path:
        """Everything that ``down`` removes."""
        return self.directory / "node"

    @property
    def logs(self) -> Path:
        """Of components and pods; kept."""
        return self.directory / "logs"

    @property
    def records(self) -> Path:
        """Which processes were started."""
        return self.state / "processes"

    @property
    def ready(self) -> Path:
        """Is there once ``up`` has succeeded."""
        return self.state / "ready"

    @property
    def configuration(self) -> Path:
        """Files that components read."""
        return self.state / "etc"

    @property
    def pki(self) -> Path:
        """Keys and certificates, named as kubeadm names them."""
        return self.state / "pki"

    @property
    def kubeconfig(self) -> Path:
        """Of the administrator, a member of kubeadm:cluster-admins."""
        return self.state / "admin.conf"

    @property
    def containerd(self) -> Path:
        """Containerd's socket."""
        return self.state / "containerd.sock"

    @property
    def volumes(self) -> Path:
        """Contents of PersistentVolumes."""
        return self.state / "volumes"

    @property
    def _digest(self) -> bytes:
        return sha256(str(self.directory).encode()).digest()
