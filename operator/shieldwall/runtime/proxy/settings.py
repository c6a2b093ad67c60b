"""What the configuration of a pod's proxy depends on."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pathlib import Path

    from shieldwall.contract.identity import Federation
    from shieldwall.contract.paths import Paths

Json = dict[str, object]
"""A part of Envoy's configuration, ready for ``json.dumps``."""


class Side(StrEnum):
    """The pods that have a proxy."""

    SERVER = "server"
    AGGREGATOR = "aggregator"
    CLIENT = "client"


LONGEST_CONNECTION: Final = 60
"""Seconds."""
_SHORTEST_CONNECTION: Final = 5
_SHARE: Final = 8
"""A leaf is renewed while a third of its life or more is left; connections made before are gone by half of that."""


def connection_seconds(life: float) -> int:
    """How long a connection may be open where leaves live ``life`` seconds: never as long as to outlive its leaf."""
    return max(_SHORTEST_CONNECTION, min(LONGEST_CONNECTION, int(life / _SHARE)))


@dataclass(frozen=True, slots=True)
class Settings:
    """One pod's proxy. Two equal ``Settings`` always give the same configuration."""

    federation: Federation
    paths: Paths
    loopback: str
    """The pod's loopback address: everything of the pod but the proxy listens there only."""
    pod_ip: str
    """The address of the listeners that others reach."""
    server_name: str
    """DNS name of the server's Service: resolved, sent as SNI and as Host. Empty in the server pod."""
    server_address: str | None = None
    """Connect to this address instead of resolving the name (local mode)."""
    max_connection: int = LONGEST_CONNECTION
    """Seconds. Bounds how long an open connection outlives its certificate or a new CRL; the gate looks at each
    request anyway, and refuses one whose certificate has ended since."""

    @property
    def directory(self) -> Path:
        """Where the bootstrap and the SDS files are written: the pod's writable directory of sockets."""
        return self.paths.admin_socket.parent

    @property
    def leaf_file(self) -> Path:
        """The SDS file that names the leaf and its key."""
        return self.directory / "leaf.json"

    @property
    def trust_file(self) -> Path:
        """The SDS file that names the CA bundle and its CRLs."""
        return self.directory / "trust.json"

    @property
    def bootstrap_file(self) -> Path:
        """What Envoy is started with."""
        return self.directory / "envoy.json"


def typed(name: str, fields: Json | None = None) -> Json:
    """An extension's configuration: ``fields`` tagged with the protobuf type ``name``."""
    return {"@type": f"type.googleapis.com/{name}", **(fields or {})}
