"""Certificates and keys as text. Keys are PKCS #8 without a password: the Secret's access rights guard them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from shieldwall.pki.errors import KeyMismatchError, MalformedPemError, UnsupportedKeyError
from shieldwall.pki.keys import require_p256

if TYPE_CHECKING:
    from collections.abc import Iterable


LARGEST_KEY: Final = 2048
"""Bytes of text, for a P-256 key with whatever stands around it: a reader must not work on larger ones of others."""


def certificates_to_pem(certificates: Iterable[x509.Certificate]) -> str:
    """One PEM block after another, in the given order: a chain (leaf first) or a bundle."""
    return "".join(each.public_bytes(serialization.Encoding.PEM).decode("ascii") for each in certificates)


def certificates_from_pem(pem: str | bytes) -> tuple[x509.Certificate, ...]:
    """Read a chain or a bundle of at least one certificate; raises MalformedPemError."""
    try:
        return tuple(x509.load_pem_x509_certificates(_as_bytes(pem)))
    except ValueError as error:
        raise MalformedPemError("certificates") from error


def private_key_to_pem(key: ec.EllipticCurvePrivateKey) -> str:
    """PKCS #8, unencrypted."""
    encoded = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return encoded.decode("ascii")


def private_key_from_pem(pem: str | bytes) -> ec.EllipticCurvePrivateKey:
    """Read a P-256 key; raises MalformedPemError or UnsupportedKeyError."""
    text = _as_bytes(pem)
    if len(text) > LARGEST_KEY:
        raise MalformedPemError("a P-256 private key")
    try:  # no RSA key is wanted: whether its factors are primes, which may take minutes, is of no interest
        key = serialization.load_pem_private_key(text, password=None, unsafe_skip_rsa_key_validation=True)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:  # TypeError: it is encrypted
        raise MalformedPemError("an unencrypted private key") from error
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise UnsupportedKeyError(type(key).__name__)
    require_p256(key.public_key())
    return key


def require_match(certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> None:
    """Raise KeyMismatchError unless ``key`` is the certificate's."""
    if certificate.public_key() != key.public_key():
        raise KeyMismatchError(certificate.serial_number)


def crl_to_pem(crl: x509.CertificateRevocationList) -> str:
    """One CRL; texts of several are joined as they are."""
    return crl.public_bytes(serialization.Encoding.PEM).decode("ascii")


def _as_bytes(text: str | bytes) -> bytes:
    return text.encode() if isinstance(text, str) else text
