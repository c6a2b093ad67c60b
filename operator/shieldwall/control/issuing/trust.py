"""The training's trust: its issuing CA and a revocation list that is signed anew long before it ends."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

from cryptography import x509

from shieldwall.control.plan.orders import Trust
from shieldwall.pki.crl import issue_crl
from shieldwall.pki.pem import certificates_to_pem, crl_to_pem
from shieldwall.pki.renewal import crl_of, crl_renewal_time

if TYPE_CHECKING:
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


def _next_number(issuer: x509.Certificate, current: Trust | None, now: datetime) -> int:
    """Unix seconds; one more than the list before it where a clock was turned back (RFC 5280, 5.2.3)."""
    crl = crl_of(current.crl, issuer) if current is not None else None
    if crl is None:
        return int(now.timestamp())
    last = crl.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number
    return max(int(now.timestamp()), last + 1)
