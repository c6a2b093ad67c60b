"""status.conditions: one aspect of an object's state each."""

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from shieldwall.control.api.fields import ApiModel
from shieldwall.control.api.status.words import Count, Text, Time


class ConditionStatus(StrEnum):
    """Whether a condition holds."""

    TRUE = "True"
    FALSE = "False"
    UNKNOWN = "Unknown"


class Condition(ApiModel):
    """One aspect of the object's state, as the Kubernetes API conventions have it."""

    type: Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[A-Za-z]+$")]
    """Which aspect: Ready, Reconciling, Stalled; of a training also Suspended, Certificates, Privacy, PrivacySignal;
    of a budget also Exhausted."""
    status: ConditionStatus
    """Whether it holds."""
    reason: Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[A-Za-z][A-Za-z0-9]*$")]
    """Why, in one stable CamelCase word."""
    message: Text
    """Why, in a sentence without times."""
    last_transition_time: Time
    """When status last changed."""
    observed_generation: Count | None = None
    """The generation of the spec that this was seen for."""


Conditions = Annotated[
    tuple[Condition, ...],
    Field(
        max_length=16,
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]},
    ),
]
"""One of each type."""
SeenGeneration = Annotated[int, Field(ge=-1, le=2**53)]
"""Of the spec that a status is about; -1 before the operator has seen the object."""
