"""Differential privacy, as operator and pods agree on it: the policy, what a client attests, and the ledger's lines.

Adjacency is replace-one: a record, or a client, is replaced by another. A noise multiplier is the noise's standard
deviation over that sensitivity.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

PRIVACY_KEY: Final = "shieldwall.privacy"
"""The ConfigRecord of a reply in which a client attests its mechanism; the reply's signature covers it."""


BUDGET_SPENT: Final = "the privacy budget is spent"
"""With these words the aggregator ends a run whose next round would pass the policy's ε; the steward reads them."""

Ratio = Annotated[float, Field(ge=0, le=1)]


class PrivacyMode(StrEnum):
    """Whose contribution is hidden, and who adds the noise."""

    RECORD_LEVEL = "RecordLevel"
    """One record of a client; the client trains by DP-SGD."""
    CLIENT_LEVEL_LOCAL = "ClientLevelLocal"
    """All of a client; the client clips its update and adds noise before it sends it."""
    CLIENT_LEVEL_CENTRAL = "ClientLevelCentral"
    """All of a client; the aggregator clips, aggregates and adds noise before it releases a model."""


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class AdaptiveClippingPolicy(_Model):
    """The clip follows a quantile of the updates' norms (Andrew et al. 2019, arXiv:1905.03871)."""

    quantile: Annotated[float, Field(gt=0, lt=1)]
    """γ."""
    rate: Annotated[float, Field(gt=0)]
    """η_C."""
    count_noise: Annotated[float, Field(gt=0)]
    """σ_b, of the noisy count of updates within the clip."""


class PrivacyPolicy(_Model):
    """What must hold of everything that is released."""

    mode: PrivacyMode
    epsilon: Annotated[float, Field(gt=0)]
    """The loss that may be spent in all; the round that would pass it is refused."""
    delta: Annotated[float, Field(gt=0, lt=1)]
    clip: Annotated[float, Field(gt=0)]
    """C: the L2 norm to which an update, or under RecordLevel one record's gradient, is clipped."""
    noise_multiplier: Annotated[float, Field(gt=0)]
    """z = σ/Δ of one release (a step of DP-SGD under RecordLevel); Δ is 2C over what is averaged."""
    batch_size: Annotated[int, Field(ge=1)] | None = None
    """RecordLevel: how many records a step draws in the mean, each with probability batch_size/records (Poisson)."""
    steps: Annotated[int, Field(ge=1)] | None = None
    """RecordLevel: the most steps of one reply."""
    records: Annotated[int, Field(ge=1)] | None = None
    """RecordLevel: a client with fewer records does not train, for its ε would be larger."""
    population: Annotated[int, Field(ge=1)] | None = None
    """Client level: who takes part in a round is drawn from so many, and kept secret; None: no amplification."""
    adaptive: AdaptiveClippingPolicy | None = None
    """ClientLevelCentral: ``clip`` is where the clip begins."""


class Spend(_Model):
    """One line of the privacy ledger: something that may have been seen by somebody else, and what it cost.

    Local modes spend when clients are asked, for each may answer; central ones when a model is released.
    """

    version: Literal[1] = 1
    run_id: str
    round: int
    attempt: int
    mode: PrivacyMode
    noise_multiplier: float
    releases: int
    """How many there were: the steps of DP-SGD, else 1."""
    rate: float | None = None
    """Poisson sampling of records."""
    population: int | None = None
    """Fixed-size sampling of clients, ``sample`` of ``population``."""
    sample: int | None = None
    clients: tuple[str, ...]
    """Whose data it was made of."""
    clip: float
    sensitivity: float | None = None
    """Δ of the release, in units of the model; of central noise."""
    within: Ratio | None = None
    """b̄: the noisy share of updates within the clip, released with the model where the clip adapts."""


class PrivacyRecord(_Model):
    """How privacy stands after a round; a part of its record."""

    epsilon: float
    """Spent so far, by the whole ledger: of the client that spent most."""
    delta: Annotated[float, Field(gt=0, lt=1)]
    """By which ``epsilon`` is counted: the policy's at that time."""
    rounds_left: int
    """So many more rounds may be opened within the policy's ε."""
    releases: int
    """Lines of the ledger."""
    signal_to_noise: float | None = None
    """C/(σ√d) of the round's release: below 0.3 the noise outweighs what one client says."""
    clip: float | None = None
    """The clip of the round's release, where it adapts."""
