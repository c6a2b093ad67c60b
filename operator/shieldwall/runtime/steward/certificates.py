"""What the gate must know of a certificate: whose it is, which one, and how long."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from cryptography import x509

from shieldwall.pki.serials import serial_text
from shieldwall.runtime.steward import xfcc

if TYPE_CHECKING:
    from collections.abc import Sequence


class NoCertificateError(ValueError):
    """The proxy shows none."""


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


def shown(headers: Sequence[tuple[bytes, bytes]]) -> CertificateFacts:
    """The peer's certificate, as the proxy shows it with a request (raw headers, names in lower case).

    The certificate's own names count: a header that tells another story was not written by the proxy.
    Raises NoCertificateError or UnreadableCertificateError.
    """
    values = [value for name, value in headers if name == xfcc.HEADER.encode()]
    if not values:
        raise NoCertificateError
    if len(values) > 1:
        raise UnreadableCertificateError("shown more than once")
    try:
        element = xfcc.parse(values[0].decode("ascii"))
    except (UnicodeDecodeError, xfcc.MalformedHeaderError) as error:
        raise UnreadableCertificateError(str(error)) from error
    certificate = facts(element.certificate)
    if element.uris != certificate.uris:
        raise UnreadableCertificateError("the header names others than the certificate")
    return certificate


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
