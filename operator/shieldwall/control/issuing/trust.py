"""The training's trust: its issuing CA and a revocation list that is signed anew long before it ends."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

from shieldwall.control.plan.orders import Trust
from shieldwall.pki.crl import issue_crl
from shieldwall.pki.pem import certificates_to_pem, crl_to_pem
from shieldwall.pki.renewal import crl_number, crl_renewal_time

if TYPE_CHECKING:
    from cryptography import x509

    from shieldwall.pki.authority import Authority

CRL_LIFETIME: Final = timedelta(days=7)


def trust_of(issuer: Authority, current: Trust | None, now: datetime) -> Trust:
    """``current`` itself while it is ``issuer``'s and more than half of its list's life is left; else a new one.

    A list ends with its issuer at the latest. Raises RefusedRequestError when the issuer has ended.
    """
    certificate = issuer.certificate
    if current is not None and now < trust_due(certificate, current):
        return current
    end = min(now + CRL_LIFETIME, certificate.not_valid_after_utc)
    crl = issue_crl(issuer, {}, _next_number(certificate, current, now), now, end)
    return Trust(certificates_to_pem([certificate]), crl_to_pem(crl))


def trust_due(issuer: x509.Certificate, trust: Trust | None) -> datetime:
    """When ``trust`` must be made anew: long ago, if there is none or it is not that of ``issuer``."""
    if trust is None or trust.ca != certificates_to_pem([issuer]):
        return datetime.min.replace(tzinfo=UTC)
    return crl_renewal_time(trust.crl, issuer) or datetime.min.replace(tzinfo=UTC)


def is_of(issuer: x509.Certificate, trust: Trust) -> bool:
    """Whether ``trust`` is in ``issuer`` and in nobody besides: byte by byte as it is made here."""
    return trust.ca == certificates_to_pem([issuer]) and crl_number(trust.crl, issuer) is not None


def newest(issuer: x509.Certificate, *known: Trust | None) -> Trust | None:
    """The one of ``issuer`` whose list has the highest number, the first of equals; None when none is of ``issuer``."""
    own = [each for each in known if each is not None and is_of(issuer, each)]
    return max(own, key=lambda each: crl_number(each.crl, issuer) or 0, default=None)


def _next_number(issuer: x509.Certificate, current: Trust | None, now: datetime) -> int:
    """Unix seconds; one more than the list before it where a clock was turned back (RFC 5280, 5.2.3)."""
    last = crl_number(current.crl, issuer) if current is not None else None
    return int(now.timestamp()) if last is None else max(int(now.timestamp()), last + 1)
