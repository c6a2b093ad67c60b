"""Leaves: the certificates of pods and of the operator, each for one identity and one purpose."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from shieldwall.contract.identity import LABEL_PATTERN, Identity, Role
from shieldwall.pki.authority import Authority, federation_of
from shieldwall.pki.errors import RefusedRequestError, WrongIssuerError
from shieldwall.pki.extensions import authority_key_of, key_usage, subject_key_of
from shieldwall.pki.keys import require_p256
from shieldwall.pki.validity import validity_below

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric import ec

SHORTEST: Final = timedelta(hours=1)
LONGEST: Final = timedelta(days=30)

_DNS_NAME: Final = re.compile(rf"{LABEL_PATTERN}(\.{LABEL_PATTERN})*")
_LONGEST_DNS_NAME: Final = 253


def purpose_of(role: Role) -> x509.ObjectIdentifier:
    """The one extended key usage of a role's leaf."""
    return ExtendedKeyUsageOID.SERVER_AUTH if role is Role.SERVER else ExtendedKeyUsageOID.CLIENT_AUTH


@dataclass(frozen=True, slots=True)
class LeafRequest:
    """A leaf that is wanted. Raises RefusedRequestError when it is outside the profile."""

    identity: Identity
    dns_names: tuple[str, ...]
    """The server's names, at least one; nobody else has any."""
    lifetime: timedelta
    """1 hour to 30 days."""

    def __post_init__(self) -> None:
        """Raise RefusedRequestError naming the field."""
        if not SHORTEST <= self.lifetime <= LONGEST:
            raise RefusedRequestError("lifetime", f"{self.lifetime} is not between 1 hour and 30 days")
        if (self.identity.role is Role.SERVER) != bool(self.dns_names):
            raise RefusedRequestError("dns_names", "the server needs DNS names, and nobody else may have any")
        for name in self.dns_names:
            if not _is_dns_name(name):
                raise RefusedRequestError("dns_names", f"{name!r} is not a DNS name in lower case without wildcards")


def _is_dns_name(name: str) -> bool:
    """An address is none: its last label is a number (RFC 1123, 2.1)."""
    labels = name.rsplit(".", maxsplit=1)
    return len(name) <= _LONGEST_DNS_NAME and _DNS_NAME.fullmatch(name) is not None and not labels[-1].isdigit()


def issue(
    issuer: Authority, request: LeafRequest, public_key: ec.EllipticCurvePublicKey, serial: int, now: datetime
) -> x509.Certificate:
    """Sign a leaf that begins 5 minutes ago and ends after ``request.lifetime``, or with its issuer if that is sooner.

    Raises WrongIssuerError, IssuerNotValidError or UnsupportedKeyError.
    """
    _require_own(issuer.certificate, request.identity)
    valid = validity_below(issuer.certificate, now, request.lifetime)
    public = require_p256(public_key)
    builder = (
        x509.CertificateBuilder(serial_number=serial, subject_name=_subject(request.identity), public_key=public)
        .issuer_name(issuer.certificate.subject)
        .not_valid_before(valid.not_before)
        .not_valid_after(valid.not_after)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(key_usage(digital_signature=True), critical=True)
        .add_extension(x509.ExtendedKeyUsage([purpose_of(request.identity.role)]), critical=False)
        .add_extension(_names(request), critical=False)
        .add_extension(subject_key_of(public), critical=False)
        .add_extension(authority_key_of(issuer.certificate), critical=False)
    )
    return builder.sign(issuer.key, hashes.SHA256())


def _require_own(issuer: x509.Certificate, identity: Identity) -> None:
    federation = federation_of(issuer)
    if federation != identity.federation:
        raise WrongIssuerError(federation.prefix if federation else "no training", identity.uri)


def _subject(identity: Identity) -> x509.Name:
    """For people who read certificates; only the URI counts."""
    return x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, identity.role.value),
            x509.NameAttribute(NameOID.COMMON_NAME, identity.client or identity.federation.name),
        ]
    )


def _names(request: LeafRequest) -> x509.SubjectAlternativeName:
    uri = x509.UniformResourceIdentifier(request.identity.uri)
    return x509.SubjectAlternativeName([uri, *(x509.DNSName(name) for name in request.dns_names)])
