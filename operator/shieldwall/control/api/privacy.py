"""spec.privacy: differential privacy."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from shieldwall.control.api.fields import LABEL, ApiModel


class PrivacyMode(StrEnum):
    """Whose contribution is hidden, and who adds the noise."""

    NONE = "None"
    RECORD_LEVEL = "RecordLevel"
    CLIENT_LEVEL_LOCAL = "ClientLevelLocal"
    CLIENT_LEVEL_CENTRAL = "ClientLevelCentral"


class Privacy(ApiModel):
    """What a release may tell about one record or one client."""

    mode: PrivacyMode = PrivacyMode.NONE
    """Whose contribution is hidden, and who adds the noise."""
    epsilon: Annotated[float, Field(gt=0, le=1000)] | None = None
    """The privacy loss that may be spent in all."""
    delta: Annotated[float, Field(gt=0, lt=1)] | None = None
    """The probability with which epsilon may be exceeded; below 1 / number of clients."""
    clip: Annotated[float, Field(gt=0, le=1e12)] | None = None
    """C: the L2 norm to which a contribution is clipped."""
    budget_ref: Annotated[str, Field(min_length=1, max_length=63, pattern=LABEL)] | None = None
    """Name of the PrivacyBudget that this training draws on."""
