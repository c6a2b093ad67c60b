"""spec.contribution: who trains, and who only takes."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from shieldwall.control.api.fields import ApiModel


class ContributionPolicy(StrEnum):
    """How free-riders are told apart."""

    NONE = "None"
    INNOVATION = "Innovation"
    MIN_COSINE = "MinCosine"


class Ban(ApiModel):
    """When a client is shut out."""

    strikes: Annotated[int, Field(ge=1, le=100)] = 5
    """Strikes after which a client is banned."""


class Contribution(ApiModel):
    """The watch on free-riders."""

    policy: ContributionPolicy = ContributionPolicy.NONE
    """How free-riders are told apart."""
    ban: Ban | None = None
    """When a client is shut out; never, when absent."""
