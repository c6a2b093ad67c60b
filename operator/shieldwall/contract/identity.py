"""SPIFFE identities of the pods of a training.

A training has one server, one aggregator, one operator and named clients. Each is a URI of the form
``spiffe://<trust domain>/ns/<namespace>/training/<name>/<role>[/<client>]``
(SPIFFE-ID specification, section 2; RFC 3986).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum

# RFC 1123 label, as Kubernetes names namespaces, Services and therefore trainings and clients.
LABEL_PATTERN = r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?"
TRUST_DOMAIN_PATTERN = r"[a-z0-9]([-a-z0-9._]{0,251}[a-z0-9])?"

_URI = re.compile(
    rf"spiffe://(?P<trust_domain>{TRUST_DOMAIN_PATTERN})/ns/(?P<namespace>{LABEL_PATTERN})"
    rf"/training/(?P<name>{LABEL_PATTERN})/(?P<role>server|aggregator|operator|client)(/(?P<client>{LABEL_PATTERN}))?"
)


class Role(StrEnum):
    """What a holder of a certificate may be in a training."""

    SERVER = "server"
    AGGREGATOR = "aggregator"
    OPERATOR = "operator"
    CLIENT = "client"


class InvalidIdentityError(ValueError):
    """A text is not an identity of this system; ``text`` holds it."""

    def __init__(self, text: str, reason: str) -> None:
        super().__init__(f"{text!r} is not a Shieldwall identity: {reason}")
        self.text = text
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Federation:
    """The training that identities belong to."""

    trust_domain: str
    namespace: str
    name: str

    @property
    def prefix(self) -> str:
        """The common beginning of every identity of this training, without a final slash."""
        return f"spiffe://{self.trust_domain}/ns/{self.namespace}/training/{self.name}"

    def server(self) -> Identity:
        """The server pod's identity."""
        return Identity(self, Role.SERVER)

    def aggregator(self) -> Identity:
        """The aggregator pod's identity."""
        return Identity(self, Role.AGGREGATOR)

    def operator(self) -> Identity:
        """The identity by which the operator speaks with this training's steward."""
        return Identity(self, Role.OPERATOR)

    def client(self, client: str) -> Identity:
        """The identity of the client named ``client``."""
        return Identity(self, Role.CLIENT, client)


@dataclass(frozen=True, slots=True)
class Identity:
    """One holder of a certificate."""

    federation: Federation
    role: Role
    client: str | None = None

    def __post_init__(self) -> None:
        """Raise InvalidIdentityError unless the URI of these parts parses back to them."""
        if (self.role is Role.CLIENT) != (self.client is not None):
            raise InvalidIdentityError(self.uri, "exactly a client's identity ends with a client's name")
        if _URI.fullmatch(self.uri) is None:
            raise InvalidIdentityError(self.uri, "its parts must be RFC 1123 labels")

    @property
    def uri(self) -> str:
        """The SPIFFE URI, as it stands in the certificate."""
        tail = f"/{self.client}" if self.client is not None else ""
        return f"{self.federation.prefix}/{self.role}{tail}"

    @classmethod
    def parse(cls, uri: str) -> Identity:
        """Read a SPIFFE URI; raises InvalidIdentityError."""
        match = _URI.fullmatch(uri)
        if match is None:
            raise InvalidIdentityError(
                uri, "expected spiffe://<trust domain>/ns/<namespace>/training/<name>/<role>[/<client>]"
            )
        federation = Federation(match["trust_domain"], match["namespace"], match["name"])
        return cls(federation, Role(match["role"]), match["client"])
