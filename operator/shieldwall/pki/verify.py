"""Checking a leaf that somebody shows, by the whole profile and not only by what TLS asks for."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes

from shieldwall.contract.identity import Identity, InvalidIdentityError, Role
from shieldwall.pki.authority import federation_of
from shieldwall.pki.extensions import authority_key, find, key_usage, subject_key
from shieldwall.pki.keys import require_p256
from shieldwall.pki.leaf import purpose_of
from shieldwall.pki.serials import serial_text
from shieldwall.pki.validity import validity_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

_KNOWN: Final = (
    x509.BasicConstraints,
    x509.KeyUsage,
    x509.ExtendedKeyUsage,
    x509.SubjectAlternativeName,
    x509.SubjectKeyIdentifier,
    x509.AuthorityKeyIdentifier,
)


class VerificationError(ValueError):
    """A certificate is not to be relied on; ``reason`` is a sentence without secrets."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class MalformedCertificateError(VerificationError):
    """It is not of the profile: its encoding, key, constraints or extensions."""


class UntrustedIssuerError(VerificationError):
    """No trusted issuer signed it."""


class ExpiredError(VerificationError):
    """Its time is over: it has to be renewed."""


class NotYetValidError(VerificationError):
    """Its time has not come: somebody's clock is wrong."""


class IssuerOutOfDateError(VerificationError):
    """Its issuer is expired or not yet valid: the CA has to be replaced."""


class WrongPurposeError(VerificationError):
    """It was made for the other end of the connection, or for both."""


class WrongIdentityError(VerificationError):
    """It does not name exactly one identity of the issuer's training in the role that was asked for."""


def verify_leaf(
    certificate: x509.Certificate, issuers: Sequence[x509.Certificate], now: datetime, role: Role
) -> Identity:
    """Return whose leaf it is, if one of ``issuers`` signed it for ``role`` and it is valid now.

    Raises one of the errors above. Revocation is not looked at: deny lists and CRLs are the caller's.
    """
    try:
        issuer = _issuer_of(certificate, issuers)
        _require_time(certificate, issuer, now)
        require_profile(certificate, role)
        identity = identity_of(certificate)
    except VerificationError:
        raise
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:  # keys and encodings that are not of the profile
        raise MalformedCertificateError(f"the certificate cannot be read: {error}") from error
    if identity.federation != federation_of(issuer):
        raise WrongIdentityError(f"{identity.uri} is not of its issuer's training")
    if identity.role is not role:
        raise WrongIdentityError(f"{identity.uri} is not a {role}")
    return identity


@lru_cache(maxsize=4096)  # asked of the same certificates again and again, and a signature takes a while to verify
def is_issued_by(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    """Whether name, AKI = SKI and signature all say so, and ``issuer`` may sign certificates."""
    try:
        if not _is_authority(issuer) or authority_key(certificate) != subject_key(issuer):
            return False
        certificate.verify_directly_issued_by(issuer)
    except (InvalidSignature, ValueError, TypeError):  # the last two: what cannot be read is signed by nobody
        return False
    return True


def _is_authority(certificate: x509.Certificate) -> bool:
    constraints, usage = find(certificate, x509.BasicConstraints), find(certificate, x509.KeyUsage)
    may_sign = constraints is not None and constraints.ca and usage is not None and usage.key_cert_sign
    return may_sign and subject_key(certificate) is not None


def identity_of(certificate: x509.Certificate) -> Identity:
    """The one identity that it names, unverified; raises WrongIdentityError."""
    names = find(certificate, x509.SubjectAlternativeName) or ()
    uris = [name.value for name in names if isinstance(name, x509.UniformResourceIdentifier)]
    if len(uris) != 1:
        raise WrongIdentityError(f"it names {len(uris)} URIs instead of one")
    try:
        return Identity.parse(uris[0])
    except InvalidIdentityError as error:
        raise WrongIdentityError(str(error)) from error


def dns_names_of(certificate: x509.Certificate) -> frozenset[str]:
    """The DNS names that it names."""
    names = find(certificate, x509.SubjectAlternativeName)
    return frozenset() if names is None else frozenset(names.get_values_for_type(x509.DNSName))


def require_profile(certificate: x509.Certificate, role: Role) -> None:
    """Raise unless a leaf of ``role`` looks like this; signature, time and identity are not looked at."""
    require_p256(certificate.public_key())
    if not isinstance(certificate.signature_hash_algorithm, hashes.SHA256):
        raise MalformedCertificateError("it is not signed by ECDSA with SHA-256")
    for extension in certificate.extensions:
        if extension.critical and not isinstance(extension.value, _KNOWN):
            raise MalformedCertificateError(f"critical extension {extension.oid.dotted_string} is not known")
    if find(certificate, x509.BasicConstraints) != x509.BasicConstraints(ca=False, path_length=None):
        raise MalformedCertificateError("a leaf must say that it is not a CA")
    if find(certificate, x509.KeyUsage) != key_usage(digital_signature=True):
        raise MalformedCertificateError("its key must be for signatures only")
    if find(certificate, x509.ExtendedKeyUsage) != x509.ExtendedKeyUsage([purpose_of(role)]):
        raise WrongPurposeError(f"it is not for the purpose of a {role} alone")
    _require_names(certificate, role)


def _require_names(certificate: x509.Certificate, role: Role) -> None:
    allowed = {x509.UniformResourceIdentifier} | ({x509.DNSName} if role is Role.SERVER else set())
    for name in find(certificate, x509.SubjectAlternativeName) or ():
        if type(name) not in allowed:
            raise WrongIdentityError(f"a {role} may not be named by a {type(name).__name__}")


def _issuer_of(certificate: x509.Certificate, issuers: Sequence[x509.Certificate]) -> x509.Certificate:
    for issuer in issuers:
        if is_issued_by(certificate, issuer):
            return issuer
    serial = serial_text(certificate.serial_number)
    raise UntrustedIssuerError(f"no trusted issuer signed certificate {serial}")


def _require_time(certificate: x509.Certificate, issuer: x509.Certificate, now: datetime) -> None:
    valid = validity_of(certificate)
    if now > valid.not_after:
        raise ExpiredError(f"it ended {valid.not_after:%FT%TZ}")
    if now < valid.not_before:
        raise NotYetValidError(f"it begins {valid.not_before:%FT%TZ}")
    if not validity_of(issuer).holds(now):
        raise IssuerOutOfDateError(f"its issuer is valid until {validity_of(issuer).not_after:%FT%TZ} only")
