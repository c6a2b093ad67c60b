"""Certificate authorities: one root for an installation, one issuing CA for each training.

A training's pods trust their own issuing CA and never the root, so a leaf of another training does not chain.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from ipaddress import ip_network
from typing import TYPE_CHECKING, Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.x509.oid import NameOID

from shieldwall.contract.identity import Federation
from shieldwall.pki.errors import MalformedPemError, RefusedRequestError
from shieldwall.pki.extensions import authority_key_of, find, key_usage, subject_key_of
from shieldwall.pki.keys import require_p256
from shieldwall.pki.pem import certificates_from_pem, certificates_to_pem, private_key_from_pem, private_key_to_pem
from shieldwall.pki.pem import require_match as require_key_of
from shieldwall.pki.serials import serial_text
from shieldwall.pki.validity import Validity, validity, validity_below

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric import ec

ROOT_LIFETIME: Final = timedelta(days=3652)
ISSUER_LIFETIME: Final = timedelta(days=90)
DEFAULT_LEAF_LIFETIME: Final = timedelta(hours=24)
LIFE_RATIO: Final = 3
"""An issuer lives at least this many times as long as its leaves, so that there is time to replace it."""

_LONGEST_NAME: Final = 64  # ub-common-name, RFC 5280 appendix A
_EVERY_ADDRESS: Final = (x509.IPAddress(ip_network("0.0.0.0/0")), x509.IPAddress(ip_network("::/0")))


@dataclass(frozen=True, slots=True)
class AuthorityPem:
    """An authority as text."""

    certificate: str
    key: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Authority:
    """A CA's certificate and its private key."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey = field(repr=False)

    def to_pem(self) -> AuthorityPem:
        """The certificate, and the key as unencrypted PKCS #8."""
        return AuthorityPem(certificates_to_pem([self.certificate]), private_key_to_pem(self.key))

    @classmethod
    def from_pem(cls, certificate: str | bytes, key: str | bytes) -> Authority:
        """Read an authority; of a chain the first certificate is its own.

        Raises MalformedPemError, UnsupportedKeyError or KeyMismatchError.
        """
        own = certificates_from_pem(certificate)[0]
        constraints = find(own, x509.BasicConstraints)
        if constraints is None or not constraints.ca:
            raise MalformedPemError("a CA's certificate")
        private = private_key_from_pem(key)
        require_key_of(own, private)
        return cls(own, private)


def new_root(
    name: str, key: ec.EllipticCurvePrivateKey, serial: int, now: datetime, lifetime: timedelta = ROOT_LIFETIME
) -> Authority:
    """Make the root of an installation, called ``name`` (1 to 64 characters): path length 1, signed by itself.

    Raises RefusedRequestError or UnsupportedKeyError.
    """
    if not 0 < len(name) <= _LONGEST_NAME:
        raise RefusedRequestError("name", f"must have 1 to {_LONGEST_NAME} characters")
    _require_ratio(lifetime, LIFE_RATIO * DEFAULT_LEAF_LIFETIME, "lifetime")
    subject = _distinguished(serial, (NameOID.COMMON_NAME, name))
    builder = _ca(subject, key, serial, validity(now, lifetime), path_length=1).issuer_name(subject)
    own = subject_key_of(key.public_key())
    builder = builder.add_extension(x509.AuthorityKeyIdentifier(own.digest, None, None), critical=False)
    return Authority(builder.sign(key, hashes.SHA256()), key)


def new_issuer(  # noqa: PLR0913, PLR0917  # time, key and serial are arguments by design
    root: Authority,
    federation: Federation,
    key: ec.EllipticCurvePrivateKey,
    serial: int,
    now: datetime,
    lifetime: timedelta = ISSUER_LIFETIME,
    *,
    leaf_lifetime: timedelta = DEFAULT_LEAF_LIFETIME,
) -> Authority:
    """Make the issuing CA of one training: path length 0, clamped to the root's end.

    Raises RefusedRequestError unless it lives 3 × ``leaf_lifetime``, IssuerNotValidError (of the root) or
    UnsupportedKeyError.
    """
    _require_ratio(lifetime, LIFE_RATIO * leaf_lifetime, "lifetime")
    clamped = validity_below(root.certificate, now, lifetime)
    _require_ratio(clamped.not_after - now.replace(microsecond=0), LIFE_RATIO * leaf_lifetime, "root")
    subject = _distinguished(
        serial,
        (NameOID.ORGANIZATIONAL_UNIT_NAME, federation.namespace),
        (NameOID.COMMON_NAME, federation.name),
    )
    builder = _ca(subject, key, serial, clamped, path_length=0).issuer_name(root.certificate.subject)
    builder = builder.add_extension(authority_key_of(root.certificate), critical=False)
    builder = builder.add_extension(_name_constraints(federation), critical=True)
    return Authority(builder.sign(root.key, hashes.SHA256()), key)


def federation_of(issuer: x509.Certificate) -> Federation | None:
    """The training that an issuing CA was made for; None when it was made for none, as a root."""
    constraints = find(issuer, x509.NameConstraints)
    permitted = (constraints.permitted_subtrees if constraints is not None else None) or ()
    domains = [name.value for name in permitted if isinstance(name, x509.UniformResourceIdentifier)]
    namespaces = issuer.subject.get_attributes_for_oid(NameOID.ORGANIZATIONAL_UNIT_NAME)
    names = issuer.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    if not len(domains) == len(namespaces) == len(names) == 1:
        return None
    return Federation(domains[0], str(namespaces[0].value), str(names[0].value))


def _name_constraints(federation: Federation) -> x509.NameConstraints:
    """What holds even where a verifier looks at the chain alone.

    A URI constraint is about the host (RFC 5280, 4.2.1.10), which in a SPIFFE id is the trust domain; OpenSSL and
    BoringSSL both compare it so. It cannot reach the path: namespace and training are checked on the leaf's URI by
    every verifier of ours. No address is ever in a certificate, so all are excluded (BoringSSL does not know
    constraints of addresses and refuses any address below one: as good). DNS names are not constrained: a server's
    outer names may be added while the CA lives, and clients go by the SPIFFE id.
    """
    return x509.NameConstraints([x509.UniformResourceIdentifier(federation.trust_domain)], list(_EVERY_ADDRESS))


def _distinguished(serial: int, *attributes: tuple[x509.ObjectIdentifier, str]) -> x509.Name:
    """A name of its own for each CA, so that a CRL or an issuer is never looked up in its successor's place."""
    named = [x509.NameAttribute(oid, value) for oid, value in attributes]
    return x509.Name([*named, x509.NameAttribute(NameOID.SERIAL_NUMBER, serial_text(serial))])


def _ca(
    subject: x509.Name, key: ec.EllipticCurvePrivateKey, serial: int, valid: Validity, *, path_length: int
) -> x509.CertificateBuilder:
    public = require_p256(key.public_key())
    return (
        x509.CertificateBuilder(serial_number=serial, subject_name=subject, public_key=public)
        .not_valid_before(valid.not_before)
        .not_valid_after(valid.not_after)
        .add_extension(x509.BasicConstraints(ca=True, path_length=path_length), critical=True)
        .add_extension(key_usage(authority=True), critical=True)
        .add_extension(subject_key_of(public), critical=False)
    )


def _require_ratio(life: timedelta, least: timedelta, named: str) -> None:
    if life < least:
        raise RefusedRequestError(named, f"a life of {life} is too short; at least {least} is needed")
