"""The status of a training of which no valid spec is known: nothing is known of it but what stood there before."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from shieldwall.control.api.status import (
    CheckState,
    ConditionStatus,
    FederatedTrainingStatus,
)
from shieldwall.control.status.certificates import Verdict
from shieldwall.control.status.conditions import timed
from shieldwall.control.status.phase import INVALID
from shieldwall.control.status.score import scored
from shieldwall.control.status.text import MESSAGE, clip

if TYPE_CHECKING:
    from datetime import datetime

    from shieldwall.control.api.status import SecurityStatus
    from shieldwall.control.status.sight import Trouble

_NOT_OBSERVED: Final = "Not observed, since the spec cannot be acted on: see Stalled."
_UNCHANGED: Final = (
    "Nothing is changed until the spec is corrected; what runs is left alone, and no certificate of it is renewed:"
    " no accepted spec is known by which to keep it."
)


def refusal(problems: str) -> str:
    """What is said of an invalid spec; ``problems`` name the fields."""
    return f"The spec cannot be acted on until this is corrected: {problems}"


def stalled_status(
    previous: FederatedTrainingStatus | None, generation: int | None, trouble: Trouble, now: datetime
) -> FederatedTrainingStatus:
    """Stalled with the reason. What was reached stays; what has to be observed anew is unknown."""
    message = refusal(trouble.message)
    unseen = Verdict(ConditionStatus.UNKNOWN, trouble.reason, _NOT_OBSERVED)
    verdicts = {
        "Ready": Verdict(ConditionStatus.FALSE, trouble.reason, message),
        "Reconciling": Verdict(ConditionStatus.FALSE, trouble.reason, _UNCHANGED),
        "Stalled": Verdict(ConditionStatus.TRUE, trouble.reason, message),
        "Suspended": unseen,
        "Certificates": unseen,
        "Privacy": unseen,
        "PrivacySignal": unseen,
    }
    before = previous if previous is not None else FederatedTrainingStatus()
    summary, clients = before.summary, before.clients
    return before.model_copy(
        update={
            "observed_generation": generation,
            "conditions": timed(verdicts, previous, generation, now),
            "phase": INVALID,
            "message": clip(message, MESSAGE),
            "summary": summary.model_copy(update={"clients": None}) if summary is not None else None,
            "clients": clients.model_copy(update={"ready": 0}) if clients is not None else None,
            "pki": before.pki.model_copy(update={"served": 0, "certificates": ()}) if before.pki is not None else None,
            "security": _forgotten(before.security) if before.security is not None else None,
        }
    )


def _forgotten(security: SecurityStatus) -> SecurityStatus:
    """A claim that was seen to hold is now unknown; one that is known to fail still fails."""
    change = {"state": CheckState.UNKNOWN, "message": _NOT_OBSERVED}
    return scored(
        tuple(
            check.model_copy(update=change) if check.state is CheckState.OBSERVED else check
            for check in security.checks
        )
    )
