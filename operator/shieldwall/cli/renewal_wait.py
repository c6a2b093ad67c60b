"""How far a request for renewal has come: pure, from one look at the training after another."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from shieldwall.cli.seen import SeenTraining
    from shieldwall.cli.subjects import Subject


@dataclass(frozen=True, slots=True)
class Progress:
    """What was seen so far of one request."""

    subject: Subject
    nonce: str
    before: str | None
    """Serial number that is to go, hexadecimal; None for all, and when it is not known."""
    serial: str | None = None
    """The new one's."""
    answered: bool = False
    """Whether all that it asks for was issued."""
    done: bool = False
    """Whether that is also in use, or cannot be, since no pod runs."""
    withdrawn: bool = False
    """Whether somebody took the request back."""
    stage: str = "waiting for the operator to issue it"
    """What is waited for."""
    remark: str = ""
    """What status says of the certificates."""

    def seeing(self, training: SeenTraining) -> Progress:
        """The same after another look. A later request for the same is as good: what answers it is newer."""
        nonce = training.requests.nonces.get(self.subject.requested_as)
        if nonce is None:
            return replace(self, withdrawn=True)
        serial = _new_serial(self, training)
        seen = replace(self, nonce=nonce, remark=training.condition.message if training.condition else "")
        if not _answered(seen, training, serial):
            return seen
        seen = replace(seen, answered=True, serial=serial or self.serial)
        if training.suspended or _served(self.subject, training):
            return replace(seen, done=True)
        return replace(seen, stage=_awaiting(self.subject, training))


def _new_serial(progress: Progress, training: SeenTraining) -> str | None:
    report = None if progress.subject.everybody else training.report(progress.subject.text)
    return report.serial if report is not None and report.serial != progress.before else None


def _answered(progress: Progress, training: SeenTraining, serial: str | None) -> bool:
    subject = progress.subject.requested_as
    if (subject, progress.nonce) in {(each.subject, each.nonce) for each in training.pki.requests}:
        return True
    if not training.crowded or subject in training.pki.pending:
        return False
    return progress.before is not None and serial is not None  # of many carried out at once some are left out


def _served(subject: Subject, training: SeenTraining) -> bool:
    if subject.everybody:
        return training.pki.served == training.pki.total
    return training.served(subject.text) is True


def _awaiting(subject: Subject, training: SeenTraining) -> str:
    if not training.watched:
        return "issued; waiting for the steward to say what is in use"
    if subject.everybody:
        return f"issued; waiting until all are in use, {training.pki.served} of {training.pki.total} are"
    return "issued; waiting until it is in use"
