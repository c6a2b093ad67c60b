"""The status of a training: the same sight always gives the same status."""

from __future__ import annotations

from typing import TYPE_CHECKING

from shieldwall.control.api.status import FederatedTrainingStatus, Summary
from shieldwall.control.status.clients import clients_of
from shieldwall.control.status.conditions import conditions_of
from shieldwall.control.status.leaves import leaves_of
from shieldwall.control.status.model import accuracy_of, model_of
from shieldwall.control.status.phase import phase_of
from shieldwall.control.status.pki import pki_of
from shieldwall.control.status.privacy import epsilon_column, privacy_status
from shieldwall.control.status.progress import progress_of
from shieldwall.control.status.score import security_of
from shieldwall.control.status.stalled import stalled_status
from shieldwall.control.status.text import MESSAGE, clip
from shieldwall.control.status.view import View

if TYPE_CHECKING:
    from shieldwall.control.api.status import ClientsStatus, PrivacyStatus
    from shieldwall.control.status.sight import Sight

__all__ = ["stalled_status", "summarise"]


def summarise(sight: Sight) -> FederatedTrainingStatus:
    """What was seen in one pass, as status; times stand still while nothing but the clock moves."""
    view = View(sight, leaves_of(sight))
    progress, clients, privacy = progress_of(view), clients_of(view), privacy_status(view)
    return FederatedTrainingStatus(
        observedGeneration=view.observed_generation,
        conditions=conditions_of(view, progress, privacy),
        phase=phase_of(view),
        message=clip(progress.message, MESSAGE),
        round=view.released,
        accuracy=accuracy_of(view),
        summary=_summary(view, clients, privacy),
        clients=clients,
        privacy=privacy,
        pki=pki_of(view),
        model=model_of(view),
        security=security_of(view),
    )


def _summary(view: View, clients: ClientsStatus, privacy: PrivacyStatus) -> Summary:
    rounds = view.sight.training.spec.rounds.count
    return Summary(
        round=f"{view.released or 0}/{rounds}",
        clients=f"{clients.ready}/{clients.total}",
        epsilon=epsilon_column(privacy),
    )
