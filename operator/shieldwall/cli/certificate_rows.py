"""The lines of the table of certificates: pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING

from shieldwall.pki.renewal import next_renewal
from shieldwall.pki.serials import serial_text

if TYPE_CHECKING:
    from collections.abc import Mapping

    from shieldwall.cli.leaves import IssuedLeaf
    from shieldwall.cli.seen import SeenTraining
    from shieldwall.control.api.status import CertificateReport


class State(StrEnum):
    """What is to be said of a leaf; the first that holds."""

    NOT_ISSUED = "not issued"
    UNKNOWN = "unknown"
    """Nobody tells whether there is one, and its Secret was not read."""
    EXPIRED = "expired"
    REQUESTED = "renewal requested"
    DUE = "renewal due"
    NOT_IN_USE = "not in use yet"
    OK = "ok"


@dataclass(frozen=True, slots=True)
class CertificateRow:
    """One leaf; what is not known is None."""

    subject: str
    """``server``, ``aggregator`` or ``client/berlin``."""
    serial: str | None
    """Hexadecimal."""
    not_after: datetime | None
    renewal: datetime | None
    issuer: str | None
    """Serial number of the CA that signed it, hexadecimal."""
    served: bool | None
    """Whether it was seen in use."""
    state: State


def rows_of(
    training: SeenTraining, leaves: Mapping[str, IssuedLeaf | None], now: datetime
) -> tuple[CertificateRow, ...]:
    """A row for each leaf that status tells of or that is in ``leaves``, in the order of the spec.

    Where status tells of every leaf that was issued, the others are rows without a certificate; where it tells of none
    at all, they are unknown.
    """
    rows = []
    for subject in training.subjects:
        report, leaf = training.report(subject), leaves.get(subject)
        if report is not None:
            rows.append(_reported(training, report, now))
        elif leaf is not None:
            rows.append(_read(training, subject, leaf, now))
        elif subject in leaves or (training.told and not training.full):
            rows.append(CertificateRow(subject, None, None, None, None, None, State.NOT_ISSUED))
        elif not training.told:
            rows.append(CertificateRow(subject, None, None, None, None, None, State.UNKNOWN))
    return tuple(rows)


def _reported(training: SeenTraining, report: CertificateReport, now: datetime) -> CertificateRow:
    ends, renewal = datetime.fromisoformat(report.not_after), datetime.fromisoformat(report.renewal)
    served = training.served(report.subject)
    state = _state(training, report.subject, now, ends=ends, renewal=renewal, served=served)
    return CertificateRow(report.subject, report.serial, ends, renewal, training.pki.issuer, served, state)


def _read(training: SeenTraining, subject: str, issued: IssuedLeaf, now: datetime) -> CertificateRow:
    ends = issued.leaf.not_valid_after_utc
    renewal = next_renewal(issued.leaf, issued.issuer) or ends  # one that ends with its issuer is replaced with it
    served = training.served(subject)
    return CertificateRow(
        subject=subject,
        serial=serial_text(issued.leaf.serial_number),
        not_after=ends,
        renewal=renewal,
        issuer=serial_text(issued.issuer.serial_number),
        served=served,
        state=_state(training, subject, now, ends=ends, renewal=renewal, served=served),
    )


def _state(  # noqa: PLR0913  # what a state depends on
    training: SeenTraining, subject: str, now: datetime, *, ends: datetime, renewal: datetime, served: bool | None
) -> State:
    if now > ends:
        return State.EXPIRED
    if subject.replace("/", ".") in training.pending:
        return State.REQUESTED
    if now >= renewal:
        return State.DUE
    return State.NOT_IN_USE if served is False else State.OK
