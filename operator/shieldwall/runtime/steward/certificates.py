"""What the gate must know of a certificate: whose it is, which one, and how long."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from cryptography import x509

from shieldwall.pki.serials import serial_text


class UnreadableCertificateError(ValueError):
    """Not a certificate."""


@dataclass(frozen=True, slots=True)
class CertificateFacts:
    """The certificate's own words; the proxy has checked its chain."""

    uris: tuple[str, ...]
    serial: str
    """Lower-case hex without leading zeros."""
    not_after: float
    """Unix seconds."""


@lru_cache(maxsize=1024)
def facts(pem: str) -> CertificateFacts:
    """Read a certificate, once for each text; raises UnreadableCertificateError."""
    try:
        certificate = x509.load_pem_x509_certificate(pem.encode())
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (ValueError, x509.ExtensionNotFound) as error:
        raise UnreadableCertificateError(str(error)) from error
    return CertificateFacts(
        uris=tuple(names.get_values_for_type(x509.UniformResourceIdentifier)),
        serial=serial_text(certificate.serial_number),
        not_after=certificate.not_valid_after_utc.timestamp(),
    )
