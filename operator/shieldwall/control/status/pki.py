"""status.pki: counts of all leaves, and the few that most need a look or come next."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from shieldwall.control.api.status import (
    WORST_CERTIFICATES,
    CertificateReport,
    Deadline,
    PkiStatus,
)
from shieldwall.control.status.leaves import Serving
from shieldwall.control.status.requests import handled, pending, requests_of
from shieldwall.control.status.text import rfc3339
from shieldwall.pki.crl import next_update
from shieldwall.pki.serials import serial_text

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from shieldwall.control.status.leaves import Leaf
    from shieldwall.control.status.view import View

_DEADLINES: Final = 8


def pki_of(view: View) -> PkiStatus:
    """Issuer, counts and what comes next. No rotation exists yet, so its phase is Stable once there is an issuer."""
    issuer, requests = view.sight.observed.issuer, requests_of(view)
    return PkiStatus(
        phase="Stable" if issuer is not None else None,
        issuer=serial_text(issuer.serial_number) if issuer is not None else None,
        served=sum(leaf.serving is Serving.SERVED for leaf in view.leaves),
        total=len(view.leaves),
        deadlines=_deadlines(view),
        certificates=_certificates(view),
        requests=handled(requests),
        pending=pending(requests),
    )


def _deadlines(view: View) -> tuple[Deadline, ...]:
    due = sorted((when, subject, action) for subject, action, when in _due(view))
    return tuple(
        Deadline(subject=subject, action=action, due=rfc3339(when)) for when, subject, action in due[:_DEADLINES]
    )


def _due(view: View) -> Iterator[tuple[str, str, datetime]]:
    observed = view.sight.observed
    if observed.issuer is not None:
        yield "issuer", "renew", observed.issuer.not_valid_after_utc
    if observed.trust is not None and (end := next_update(observed.trust.crl)) is not None:
        yield "crl", "publish", end
    for leaf in view.leaves:
        if (renewal := leaf.renewal(observed.issuer)) is not None:
            yield leaf.subject, "renew", renewal


def _certificates(view: View) -> tuple[CertificateReport, ...]:
    """Those not in use first, then by the time of renewal."""
    issued = [leaf for leaf in view.leaves if leaf.certificate is not None]
    ranked = sorted(issued, key=lambda leaf: (leaf.serving is Serving.SERVED, _renewal(view, leaf), leaf.subject))
    return tuple(
        CertificateReport(
            subject=leaf.subject,
            serial=leaf.serial,
            notAfter=rfc3339(leaf.certificate.not_valid_after_utc),
            renewal=rfc3339(_renewal(view, leaf)),
            served=leaf.serving is Serving.SERVED,
        )
        for leaf in ranked[:WORST_CERTIFICATES]
        if leaf.certificate is not None
    )


def _renewal(view: View, leaf: Leaf) -> datetime:
    """A leaf that ends with its issuer is replaced when the issuer is: at its end."""
    end = leaf.certificate.not_valid_after_utc if leaf.certificate is not None else view.sight.now
    return leaf.renewal(view.sight.observed.issuer) or end
