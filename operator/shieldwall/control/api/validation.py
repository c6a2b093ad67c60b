"""spec.validation: which updates are outliers."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from shieldwall.control.api.fields import ApiModel


class ValidationPolicy(StrEnum):
    """What becomes of outliers."""

    NONE = "None"
    REPORT = "Report"
    REJECT = "Reject"


_Score = Annotated[float, Field(gt=0, le=1_000_000)]


class Validation(ApiModel):
    """Statistics by which an admitted update may still be refused: deviations from the median, in robust deviations."""

    policy: ValidationPolicy | None = None
    """What becomes of outliers; the round never refuses more than it can do without. By default Reject, and None under
    privacy.mode ClientLevelCentral, where a refusal by comparison has no bounded sensitivity."""
    norm_z: _Score = 8.0
    """Refused above it, with reason norm-outlier: the robust z-score of the update's norm among those of the round."""
    distance_z: _Score = 8.0
    """Refused above it, with reason distance-outlier: that of its median distance to the other updates."""
    own_norm_z: _Score = 12.0
    """As normZ, against the client's own last 20 rounds."""
    own_distance_z: _Score = 12.0
    """As distanceZ, against the client's own last 20 rounds."""
    duplicate_cosine: Annotated[float, Field(gt=0, lt=1)] = 0.9995
    """Refused above it, with reason near-duplicate: the cosine with another client's update of the round, if it is also
    far above what is usual in the round. The first by name stays."""
