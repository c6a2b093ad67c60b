"""What people ask about the certificates of a run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from shieldwall.contract.identity import Role
from shieldwall.local.outcome import CertificateFacts
from shieldwall.pki.renewal import renewal_time
from shieldwall.pki.serials import serial_text
from shieldwall.pki.verify import identity_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cryptography import x509

    from shieldwall.contract.identity import Identity


def subject_of(identity: Identity) -> str:
    """``server``, ``aggregator`` or ``client/<name>``."""
    return f"{identity.role}/{identity.client}" if identity.client is not None else str(identity.role)


def facts(leaf: x509.Certificate) -> CertificateFacts:
    """The facts of one leaf of ours; raises VerificationError when it names no identity."""
    return CertificateFacts(
        subject=subject_of(identity_of(leaf)),
        serial=serial_text(leaf.serial_number),
        issuer=leaf.issuer.rfc4514_string(),
        expires=leaf.not_valid_after_utc.timestamp(),
        renews=renewal_time(leaf).timestamp(),
    )


def table(leaves: Iterable[x509.Certificate]) -> tuple[CertificateFacts, ...]:
    """All of them: server and aggregator first, then clients by name."""
    return tuple(sorted((facts(leaf) for leaf in leaves), key=_order))


def _order(one: CertificateFacts) -> tuple[bool, bool, str]:
    return (one.subject != Role.SERVER, one.subject != Role.AGGREGATOR, one.subject)
