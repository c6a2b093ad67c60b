"""When a certificate or a revocation list has to be replaced, and why.

The answers depend on certificates, lists and the time alone.
"""

from __future__ import annotations

import hashlib
from datetime import datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm

from shieldwall.pki.keys import require_p256
from shieldwall.pki.pem import crl_to_pem
from shieldwall.pki.validity import BACKDATE, validity_of
from shieldwall.pki.verify import (
    VerificationError,
    dns_names_of,
    identity_of,
    is_issued_by,
    require_profile,
)

if TYPE_CHECKING:
    from shieldwall.contract.identity import Identity
    from shieldwall.pki.leaf import LeafRequest

_JITTER_SHARE: Final = 10
_HASH_BITS: Final = 64


class RenewalReason(StrEnum):
    """Why a certificate is replaced now. Stable words: they are seen in events."""

    MISSING = "Missing"
    ISSUER_CHANGED = "IssuerChanged"
    IDENTITY_CHANGED = "IdentityChanged"
    NAMES_CHANGED = "NamesChanged"
    PROFILE_CHANGED = "ProfileChanged"
    """Its key, purpose or extensions are not what a leaf of today has."""
    LIFETIME_CHANGED = "LifetimeChanged"
    """It lives longer than is wanted now."""
    NOT_YET_VALID = "NotYetValid"
    EXPIRED = "Expired"
    RENEWAL_DUE = "RenewalDue"
    REQUESTED = "Requested"
    """Somebody asked for it."""


def renewal_time(certificate: x509.Certificate) -> datetime:
    """2/3 of the certificate's life, minus up to 10 % of it by its serial, so that leaves do not renew all at once."""
    valid = validity_of(certificate)
    serial = certificate.serial_number.to_bytes(20, "big")
    share = int.from_bytes(hashlib.sha256(serial).digest()[: _HASH_BITS // 8], "big")
    jitter = timedelta(microseconds=(valid.life // timedelta(microseconds=_JITTER_SHARE)) * share >> _HASH_BITS)
    return valid.not_before + valid.life * 2 / 3 - jitter


def next_renewal(leaf: x509.Certificate, issuer: x509.Certificate) -> datetime | None:
    """When a leaf is to be renewed; None for one that ends with its issuer: it would gain nothing by renewal."""
    gains = validity_of(issuer).not_after > validity_of(leaf).not_after
    return renewal_time(leaf) if gains else None


def crl_of(pem: str | bytes, issuer: x509.Certificate) -> x509.CertificateRevocationList | None:
    """The list that ``pem`` is if ``issuer`` signed it and it says until when it holds and its number, else None.

    Nothing may stand around it: whoever reads it in a pod would read that too.
    """
    text = pem.encode() if isinstance(pem, str) else pem
    try:
        crl = x509.load_pem_x509_crl(text)
        key = require_p256(issuer.public_key())
        numbered = any(isinstance(extension.value, x509.CRLNumber) for extension in crl.extensions)
        own = crl.issuer == issuer.subject and crl.is_signature_valid(key)
    except (ValueError, TypeError, UnsupportedAlgorithm, x509.DuplicateExtension, x509.InvalidVersion):
        return None
    alone = crl_to_pem(crl).encode() == text
    return crl if own and alone and numbered and crl.next_update_utc is not None else None


def crl_number(pem: str | bytes, issuer: x509.Certificate) -> int | None:
    """The number of ``issuer``'s list, which grows with each; None when it is not ``issuer``'s."""
    crl = crl_of(pem, issuer)
    return crl.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number if crl is not None else None


def crl_renewal_time(pem: str | bytes, issuer: x509.Certificate) -> datetime | None:
    """When half of the list's life is over; None when it is not ``issuer``'s.

    A list that ends with its issuer cannot live longer, so it is never due before that end.
    """
    crl = crl_of(pem, issuer)
    if crl is None or crl.next_update_utc is None:
        return None
    if crl.next_update_utc >= validity_of(issuer).not_after:
        return validity_of(issuer).not_after
    return crl.next_update_utc - (crl.next_update_utc - crl.last_update_utc) / 2


def renewal_reason(
    leaf: x509.Certificate | None, issuer: x509.Certificate, wanted: LeafRequest, now: datetime
) -> RenewalReason | None:
    """Why ``leaf`` is to be issued anew by ``issuer``, or None.

    A leaf just issued has no reason, whatever the time left to its issuer. An issuer that is not valid now cannot
    sign: ask ``issuer_reason`` first.
    """
    if leaf is None:
        return RenewalReason.MISSING
    if not is_issued_by(leaf, issuer):
        return RenewalReason.ISSUER_CHANGED
    if _identity(leaf) != wanted.identity:
        return RenewalReason.IDENTITY_CHANGED
    if dns_names_of(leaf) != frozenset(wanted.dns_names):
        return RenewalReason.NAMES_CHANGED
    if not _of_profile(leaf, wanted):
        return RenewalReason.PROFILE_CHANGED
    return _by_time(leaf, issuer, wanted.lifetime, now)


def issuer_reason(issuer: x509.Certificate | None, root: x509.Certificate, now: datetime) -> RenewalReason | None:
    """Why a training's issuing CA is to be replaced, or None.

    RenewalDue leaves a third of its life to do it in phases; at the other reasons nothing chains any more.
    """
    if issuer is None:
        return RenewalReason.MISSING
    if not is_issued_by(issuer, root):
        return RenewalReason.ISSUER_CHANGED
    valid = validity_of(issuer)
    if now < valid.not_before:
        return RenewalReason.NOT_YET_VALID
    if now > valid.not_after:
        return RenewalReason.EXPIRED
    return RenewalReason.RENEWAL_DUE if now >= renewal_time(issuer) else None


def _by_time(
    leaf: x509.Certificate, issuer: x509.Certificate, lifetime: timedelta, now: datetime
) -> RenewalReason | None:
    valid = validity_of(leaf)
    if now < valid.not_before:
        return RenewalReason.NOT_YET_VALID
    if now > valid.not_after:
        return RenewalReason.EXPIRED
    if valid.life > lifetime + BACKDATE:
        return RenewalReason.LIFETIME_CHANGED
    due = next_renewal(leaf, issuer)
    return RenewalReason.RENEWAL_DUE if due is not None and now >= due else None


def _identity(leaf: x509.Certificate) -> Identity | None:
    try:
        return identity_of(leaf)
    except VerificationError:
        return None


def _of_profile(leaf: x509.Certificate, wanted: LeafRequest) -> bool:
    try:
        require_profile(leaf, wanted.identity.role)
    except ValueError:  # any key or encoding that is not of the profile
        return False
    return True
