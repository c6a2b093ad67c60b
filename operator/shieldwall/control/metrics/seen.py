"""What metrics of trainings are made of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from shieldwall.control.api.status import FederatedTrainingStatus
    from shieldwall.control.plan.orders import Observed
    from shieldwall.control.status.sight import Sight

OF_TRAINING: Final = ("namespace", "training")
"""Labels; their values are the training's key."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What the last pass saw of one training."""

    status: FederatedTrainingStatus
    sight: Sight | None = None
    """None when it cannot even be read."""
    remains: Observed | None = None
    """Then what is left of it, for what ends whether it is read or not."""
