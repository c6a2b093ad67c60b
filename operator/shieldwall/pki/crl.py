"""Certificate revocation lists: one for each issuing CA, refreshed long before it ends.

A proxy that finds no valid CRL refuses everybody, so an empty list is issued too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives import hashes

from shieldwall.pki.errors import RefusedRequestError
from shieldwall.pki.extensions import authority_key_of
from shieldwall.pki.validity import BACKDATE

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from shieldwall.pki.authority import Authority


def issue_crl(
    issuer: Authority,
    revoked: Mapping[int, tuple[datetime, x509.ReasonFlags]],
    number: int,
    now: datetime,
    next_update: datetime,
) -> x509.CertificateRevocationList:
    """Sign the list of ``revoked`` serials (each with when and why); ``number`` grows with each list.

    Begins 5 minutes ago, for clocks that are late. Raises RefusedRequestError.
    """
    if next_update <= now:
        raise RefusedRequestError("next_update", "must be later than now: an ended list refuses everybody")
    builder = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(issuer.certificate.subject)
        .last_update(now - BACKDATE)
        .next_update(next_update)
        .add_extension(x509.CRLNumber(number), critical=False)
        .add_extension(authority_key_of(issuer.certificate), critical=False)
    )
    for serial, (when, why) in sorted(revoked.items()):
        builder = builder.add_revoked_certificate(_entry(serial, when, why))
    return builder.sign(issuer.key, hashes.SHA256())


def next_update(pem: str) -> datetime | None:
    """When the (first) list in ``pem`` ends; None for what is no list or has no end."""
    try:
        return x509.load_pem_x509_crl(pem.encode()).next_update_utc
    except (ValueError, x509.InvalidVersion):
        return None


def _entry(serial: int, when: datetime, why: x509.ReasonFlags) -> x509.RevokedCertificate:
    builder = x509.RevokedCertificateBuilder(serial_number=serial, revocation_date=when)
    if why is not x509.ReasonFlags.unspecified:  # left out rather than written (RFC 5280, 5.3.1)
        builder = builder.add_extension(x509.CRLReason(why), critical=False)
    return builder.build()
