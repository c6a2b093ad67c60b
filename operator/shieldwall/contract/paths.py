"""Where things lie inside a container, below a root that is ``/`` in a pod.

Local mode gives every container a root of its own (``SHIELDWALL_ROOT``) in which the volumes of its pod
appear under the same names.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

ROOT_VARIABLE: Final = "SHIELDWALL_ROOT"
LOOPBACK_VARIABLE: Final = "SHIELDWALL_LOOPBACK"
"""The address that stands for 127.0.0.1 inside the pod; each pod has its own in local mode."""
POD_IP_VARIABLE: Final = "SHIELDWALL_POD_IP"
"""The address that the pod's outer listeners bind to (downward API: status.podIP)."""
SERVER_VARIABLE: Final = "SHIELDWALL_SERVER"
"""In client and aggregator pods: the DNS name of the server's Service, resolved and used as SNI."""
SERVER_ADDRESS_VARIABLE: Final = "SHIELDWALL_SERVER_ADDRESS"
"""Set in local mode only: the address to connect to instead of resolving the name."""
CLIENT_VARIABLE: Final = "SHIELDWALL_CLIENT"
"""In client pods: the client's name."""
NODE_CONFIG_VARIABLE: Final = "SHIELDWALL_NODE_CONFIG"
"""In client pods: Flower's node configuration, ``key=value`` pairs with TOML values, separated by spaces."""

POLICY_DIR: Final = "etc/shieldwall/policy"
TLS_DIR: Final = "etc/shieldwall/tls"
TRUST_DIR: Final = "etc/shieldwall/trust"
NODE_DIR: Final = "etc/shieldwall/node"
SUPEREXEC_DIR: Final = "etc/shieldwall/superexec"
LOCAL_TLS_DIR: Final = "run/shieldwall/local"
LOCAL_TRUST_DIR: Final = "run/shieldwall/local-trust"
SOCKET_DIR: Final = "run/shieldwall/sockets"
SIGNER_DIR: Final = "run/shieldwall/signer"
STATE_DIR: Final = "var/lib/shieldwall/state"
MODEL_DIR: Final = "var/lib/shieldwall/model"
DATA_DIR: Final = "var/lib/shieldwall/data"
HOME_DIR: Final = "home/shieldwall"


@dataclass(frozen=True, slots=True)
class Paths:
    """The files of one container below ``root``."""

    root: Path

    @classmethod
    def of_this_container(cls) -> Paths:
        """The paths below ``SHIELDWALL_ROOT``, or ``/``."""
        return cls(Path(os.environ.get(ROOT_VARIABLE, "/")))

    @property
    def policy(self) -> Path:
        """The RuntimePolicy, JSON."""
        return self.root / POLICY_DIR / "policy.json"

    @property
    def tls(self) -> Path:
        """Directory of the leaf: ``tls.crt`` (leaf then issuing CA) and ``tls.key``; proxy and signer only."""
        return self.root / TLS_DIR

    @property
    def trust(self) -> Path:
        """Directory of what peers are checked against: ``ca.crt`` (bundle) and ``ca.crl``."""
        return self.root / TRUST_DIR

    @property
    def node_key(self) -> Path:
        """The Flower node key, an OpenSSH private key; ``supernode`` only."""
        return self.root / NODE_DIR / "node.key"

    @property
    def superexec_secret(self) -> Path:
        """What a SuperExec shows to the Runtime API it works for."""
        return self.root / SUPEREXEC_DIR / "superexec"

    @property
    def local_certificate(self) -> Path:
        """The pod-local certificate of the loopback hops; its own issuer."""
        return self.root / LOCAL_TRUST_DIR / "local.crt"

    @property
    def local_key(self) -> Path:
        """The key of the pod-local certificate; only who serves a loopback hop mounts it."""
        return self.root / LOCAL_TLS_DIR / "local.key"

    @property
    def admin_socket(self) -> Path:
        """The proxy's admin interface."""
        return self.root / SOCKET_DIR / "admin.sock"

    @property
    def steward_socket(self) -> Path:
        """The steward: the gate and its API."""
        return self.root / SOCKET_DIR / "steward.sock"

    @property
    def signer_socket(self) -> Path:
        """The signer, in client pods."""
        return self.root / SIGNER_DIR / "signer.sock"

    @property
    def superlink_database(self) -> Path:
        """Flower's SQLite database, on the server's volume."""
        return self.root / STATE_DIR / "superlink" / "state.db"

    @property
    def superlink_backup(self) -> Path:
        """The last sound copy of that database, beside it."""
        return self.root / STATE_DIR / "superlink" / "backup.db"

    @property
    def steward_state(self) -> Path:
        """Directory of the steward's own state, on the server's volume."""
        return self.root / STATE_DIR / "steward"

    @property
    def model(self) -> Path:
        """Directory of checkpoints and ledger, on the aggregator's volume."""
        return self.root / MODEL_DIR

    @property
    def data(self) -> Path:
        """The client's data volume, as the user's app sees it."""
        return self.root / DATA_DIR

    @property
    def home(self) -> Path:
        """A writable home (``HOME`` and ``FLWR_HOME``)."""
        return self.root / HOME_DIR


def loopback() -> str:
    """The pod's loopback address."""
    return os.environ.get(LOOPBACK_VARIABLE, "127.0.0.1")


def pod_ip() -> str:
    """The address of the pod's outer listeners."""
    return os.environ.get(POD_IP_VARIABLE, "0.0.0.0")  # noqa: S104  # all of a pod's own interfaces
