"""From when until when a certificate is valid."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final, NamedTuple

from shieldwall.pki.errors import IssuerNotValidError

if TYPE_CHECKING:
    from cryptography import x509

BACKDATE: Final = timedelta(minutes=5)
"""How much earlier than its making a certificate begins: for clocks that are late."""


class Validity(NamedTuple):
    """Both ends belong to it; whole seconds."""

    not_before: datetime
    not_after: datetime

    @property
    def life(self) -> timedelta:
        """From the first second to the last."""
        return self.not_after - self.not_before

    def holds(self, now: datetime) -> bool:
        """Whether ``now`` is within."""
        return self.not_before <= now <= self.not_after


def validity_of(certificate: x509.Certificate) -> Validity:
    """The validity that stands in a certificate."""
    return Validity(certificate.not_valid_before_utc, certificate.not_valid_after_utc)


def made_at(certificate: x509.Certificate) -> datetime:
    """The second in which a certificate was made, by what stands in it."""
    return certificate.not_valid_before_utc + BACKDATE


def validity(now: datetime, lifetime: timedelta) -> Validity:
    """The validity of something made now; ``now`` is aware of its time zone."""
    whole = now.replace(microsecond=0)
    return Validity(whole - BACKDATE, (whole + lifetime).replace(microsecond=0))


def validity_below(issuer: x509.Certificate, now: datetime, lifetime: timedelta) -> Validity:
    """The same, clamped to the issuer's: nothing begins before its issuer or outlives it.

    Raises IssuerNotValidError when the issuer is not valid now.
    """
    outer = validity_of(issuer)
    if not outer.holds(now):
        raise IssuerNotValidError(outer.not_before, outer.not_after, now)
    inner = validity(now, lifetime)
    return Validity(max(inner.not_before, outer.not_before), min(inner.not_after, outer.not_after))
