"""spec.contribution: who trains, and who only takes."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from shieldwall.control.api.clients import MAX_CLIENT_NAME
from shieldwall.control.api.fields import LABEL, ApiModel
from shieldwall.control.api.rounds import MAX_CLIENTS


class ContributionPolicy(StrEnum):
    """How free-riders are told apart."""

    NONE = "None"
    INNOVATION = "Innovation"
    MIN_COSINE = "MinCosine"


class Ban(ApiModel):
    """When a client is shut out, and for how long."""

    strikes: Annotated[int, Field(ge=1, le=100)] = 5
    """Strikes after which a client is banned: one more for each round that shows it free-riding, one less for any
    other. Never before round 5, never with fewer than 6 clients taking part, never more clients at once than
    aggregation.byzantine, and never so many that a round would lack replies."""
    rounds: Annotated[int, Field(ge=1, le=100_000)] = 20
    """Rounds that a ban lasts. The client comes back on probation, two strikes short of the next one."""
    dry_run: bool = False
    """True bans nobody; status tells who would be."""
    exempt: Annotated[
        tuple[Annotated[str, Field(min_length=1, max_length=MAX_CLIENT_NAME, pattern=LABEL)], ...],
        Field(max_length=MAX_CLIENTS),
    ] = ()
    """Names of clients that are scored like all others and never banned: those that were banned by mistake."""


class Contribution(ApiModel):
    """The watch on free-riders."""

    policy: ContributionPolicy | None = None
    """How free-riders are told apart. Innovation: nothing that the client says anew is borne out by what others say
    anew; MinCosine: its update points away from the aggregate. By default Innovation, and None under
    privacy.mode ClientLevelLocal, whose noise looks the same, and ClientLevelCentral, whose epsilon covers no ban."""
    min_cosine: Annotated[float, Field(ge=-1, le=1)] | None = None
    """A cosine with the aggregate below it is reported, and is a strike under MinCosine. Under strong skew of the data
    it finds honest clients, and it misses who replays the global model."""
    ban: Ban = Ban.model_validate({})
    """When a client is shut out, and for how long."""
