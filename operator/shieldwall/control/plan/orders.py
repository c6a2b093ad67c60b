"""What a plan asks for and cannot make itself, because it is pure: keys, certificates, random secrets.

The shell (the operator in a cluster, the runner in local mode) fills the orders, observes again and plans again;
objects that need what is not there yet are withheld until it is.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import timedelta

    from cryptography import x509

    from shieldwall.contract.identity import Identity
    from shieldwall.control.plan.objects import KubernetesObject


@dataclass(frozen=True, slots=True)
class AuthorityOrder:
    """The issuing CA of a training: Secret ``secret`` with ``tls.crt``, ``tls.key`` and ``ca.crt`` (the root)."""

    secret: str


@dataclass(frozen=True, slots=True)
class CertificateOrder:
    """A leaf: Secret ``secret``, kubernetes.io/tls, with ``tls.crt`` (leaf, issuing CA), ``tls.key``, ``ca.crt``."""

    secret: str
    identity: Identity
    dns_names: tuple[str, ...]
    """Empty but for the server."""
    lifetime: timedelta
    reason: str
    """Why now: a stable CamelCase word (``Missing``, ``RenewalDue``, ``IssuerChanged``, …)."""
    request: str = ""
    """The request for renewal that this answers: kept with the Secret, and observed again in ``renewals``."""


@dataclass(frozen=True, slots=True)
class NodeKeyOrder:
    """A client's long-lived Flower node key: Secret ``secret``, ``node.key`` (OpenSSH) and ``node.pub`` (SPKI PEM)."""

    secret: str
    client: str


@dataclass(frozen=True, slots=True)
class SharedSecretOrder:
    """32 random bytes as 64 hex characters in Secret ``secret`` under ``key``."""

    secret: str
    key: str


@dataclass(frozen=True, slots=True)
class Trust:
    """What peers of a training are checked against."""

    ca: str
    """PEM bundle of the issuing CAs, never the root: a leaf of another training must not chain."""
    crl: str
    """PEM, one CRL for each CA of the bundle."""


@dataclass(frozen=True, slots=True)
class Observed:
    """What exists already, read before planning."""

    trust: Trust | None = None
    issuer: x509.Certificate | None = None
    """The current issuing CA."""
    root: x509.Certificate | None = None
    """The CA that issued it."""
    leaves: Mapping[str, x509.Certificate] = field(default_factory=dict)
    """By Secret name."""
    node_keys: Mapping[str, str] = field(default_factory=dict)
    """By client: the public node key, SubjectPublicKeyInfo PEM."""
    shared_secrets: frozenset[str] = frozenset()
    """Names of the Secrets of fulfilled SharedSecretOrders."""
    renewals: Mapping[str, str] = field(default_factory=dict)
    """By Secret name: the ``request`` of the order that its leaf was issued for."""


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything one pass wants."""

    authority: AuthorityOrder | None
    certificates: tuple[CertificateOrder, ...]
    node_keys: tuple[NodeKeyOrder, ...]
    shared_secrets: tuple[SharedSecretOrder, ...]
    objects: tuple[KubernetesObject, ...]
    """In the order in which they are applied."""

    @property
    def complete(self) -> bool:
        """Whether nothing had to be withheld for want of an order."""
        return not (self.authority or self.certificates or self.node_keys or self.shared_secrets)
