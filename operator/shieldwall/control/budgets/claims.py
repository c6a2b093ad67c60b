"""What a training asks of its budget before it may start."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from shieldwall.control.api.budget import UNITS
from shieldwall.control.budgets.loss import Loss
from shieldwall.control.budgets.refusals import NoTargetError

if TYPE_CHECKING:
    from shieldwall.control.api.budget import Unit
    from shieldwall.control.api.training import Training
    from shieldwall.control.cluster.shelf import Key


@dataclass(frozen=True, slots=True)
class Claim:
    """One training's wish."""

    budget: Key
    training: str
    uid: str
    generation: int
    unit: Unit
    clients: tuple[str, ...]
    target: Loss
    """All that it may ever spend."""
    rounds: int
    """How many rounds it is to release."""


def claim_of(training: Training) -> Claim | None:
    """What the training claims; None when it draws on no budget. Raises NoTargetError."""
    privacy = training.spec.privacy
    if privacy is None or privacy.budget_ref is None:
        return None
    if training.spec.privacy_mode not in UNITS or privacy.epsilon is None or privacy.delta is None:
        raise NoTargetError(training.name, privacy.budget_ref)
    return Claim(
        budget=(training.namespace, privacy.budget_ref),
        training=training.name,
        uid=training.uid or "",
        generation=training.generation or 0,
        unit=UNITS[training.spec.privacy_mode],
        clients=tuple(client.name for client in training.spec.clients),
        target=Loss.of(privacy.epsilon, privacy.delta),
        rounds=training.spec.rounds.count,
    )
