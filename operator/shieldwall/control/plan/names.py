"""The names of a training's objects.

Each is the training's name, a dash and one of the API's RESERVED_WORDS, except the bare name itself. A training's
name holds none of these words after a dash, so no two trainings of a namespace own objects of the same name.
With names of 30 and clients of 24 characters none is longer than 63.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Names:
    """Names of the objects of one training."""

    training: str

    @property
    def server(self) -> str:
        """StatefulSet, Service, ServiceAccount and NetworkPolicy of the server."""
        return f"{self.training}-server"

    @property
    def server_headless(self) -> str:
        """The Service that the server's StatefulSet asks for; nobody connects to it."""
        return f"{self.training}-server-headless"

    @property
    def aggregator(self) -> str:
        """StatefulSet, Service, ServiceAccount and NetworkPolicy of the aggregator."""
        return f"{self.training}-aggregator"

    @property
    def clients(self) -> str:
        """ServiceAccount, NetworkPolicy and PodDisruptionBudget of all clients."""
        return f"{self.training}-client"

    def client(self, client: str) -> str:
        """Deployment of one client."""
        return f"{self.training}-client-{client}"

    @property
    def default_deny(self) -> str:
        """NetworkPolicy that closes everything."""
        return self.training

    @property
    def policy(self) -> str:
        """ConfigMap of the RuntimePolicy."""
        return f"{self.training}-policy"

    @property
    def client_policy(self) -> str:
        """ConfigMap of the RuntimePolicy for client pods."""
        return f"{self.training}-client-policy"

    @property
    def accepted(self) -> str:
        """ConfigMap of the last accepted spec."""
        return f"{self.training}-policy-spec"

    @property
    def trust(self) -> str:
        """ConfigMap of the CA bundle and the CRL."""
        return f"{self.training}-trust"

    @property
    def authority(self) -> str:
        """Secret of the issuing CA."""
        return f"{self.training}-ca"

    @property
    def superexec(self) -> str:
        """Secret that the aggregator's SuperExec shows to the SuperLink."""
        return f"{self.training}-superexec"

    @property
    def server_tls(self) -> str:
        """Secret of the server's leaf."""
        return f"{self.training}-server-tls"

    @property
    def aggregator_tls(self) -> str:
        """Secret of the aggregator's leaf."""
        return f"{self.training}-aggregator-tls"

    def client_tls(self, client: str) -> str:
        """Secret of a client's leaf."""
        return f"{self.training}-tls-{client}"

    def client_node(self, client: str) -> str:
        """Secret of a client's Flower node key."""
        return f"{self.training}-node-{client}"
