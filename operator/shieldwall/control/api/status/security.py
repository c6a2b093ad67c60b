"""status.security: the score."""

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from shieldwall.control.api.fields import ApiModel
from shieldwall.control.api.status.words import Points, Text, Word


class CheckState(StrEnum):
    """What is known about a claim."""

    OBSERVED = "observed"
    UNKNOWN = "unknown"
    FAILED = "failed"


class Check(ApiModel):
    """One claim about the training's security, and whether it was seen to hold."""

    name: Word
    """Name of the check."""
    state: CheckState
    """Whether it was seen to hold; unknown counts as no."""
    points: Points
    """Points it is worth."""
    message: Text | None = None
    """What was seen, in a sentence."""


class SecurityStatus(ApiModel):
    """The score, with a reason for each point lost."""

    score: Points | None = None
    """0 to 100: mutual TLS, robust aggregation, privacy and contribution, 25 each."""
    checks: Annotated[
        tuple[Check, ...],
        Field(
            max_length=32,
            json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]},
        ),
    ] = ()
    """What the score is made of."""
