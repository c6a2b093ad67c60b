"""spec.privacy: differential privacy."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Final

from pydantic import Field

from shieldwall.contract.privacy import PrivacyMode as Protected
from shieldwall.control.api.fields import LABEL, ApiModel

MODE: Final = "(has(self.privacy) ? (has(self.privacy.mode) ? self.privacy.mode : 'RecordLevel') : 'None')"
"""The mode of a spec with its default, as CEL."""
MODE_TO_BE_SAID: Final = 100
"""From so many clients on a mode has no default: hiding all of a client begins to be affordable."""


LOW_SIGNAL: Final = 0.3
"""C/(σ√d) below it: the noise of a round outweighs what one client says."""


class PrivacyMode(StrEnum):
    """Whose contribution is hidden, and who adds the noise."""

    NONE = "None"
    RECORD_LEVEL = Protected.RECORD_LEVEL
    CLIENT_LEVEL_LOCAL = Protected.CLIENT_LEVEL_LOCAL
    CLIENT_LEVEL_CENTRAL = Protected.CLIENT_LEVEL_CENTRAL


class Acknowledgement(StrEnum):
    """What somebody has read and takes upon them."""

    LOW_SIGNAL_TO_NOISE = "LowSignalToNoise"


class AdaptiveClipping(ApiModel):
    """The clip follows a quantile of the updates' norms (Andrew et al. 2019)."""

    quantile: Annotated[float, Field(gt=0, lt=1)] = 0.5
    """The share of the updates that is to be within the clip."""
    rate: Annotated[float, Field(gt=0, le=10)] = 0.2
    """How fast the clip follows: it is multiplied by exp(-rate * (share within it - quantile)) after each round."""
    count_noise: Annotated[float, Field(gt=0, le=1000)]
    """The standard deviation of the noise on the count of updates within the clip. Above noiseMultiplier, and at most a
    tenth of the clients of a round: a small cohort has no such number, and no adaptive clipping."""


class Privacy(ApiModel):
    """What a release may tell about one record or one client. Adjacency is replace-one."""

    mode: PrivacyMode | None = None
    """Whose contribution is hidden, and who adds the noise. RecordLevel: one record of a client, which trains by
    DP-SGD. ClientLevelLocal: all of a client, which adds noise to its update. ClientLevelCentral: all of a client; the
    aggregator adds noise to what it releases. None: nothing is hidden, which costs 25 points of the score. By default
    RecordLevel with fewer than 100 clients; with more it has to be said. It cannot be changed later."""
    epsilon: Annotated[float, Field(ge=0.001, le=1000)] | None = None
    """The privacy loss that may be spent in all. The noise follows from it unless noiseMultiplier is given; the round
    that would pass it is refused."""
    delta: Annotated[float, Field(gt=0, lt=1)] | None = None
    """The probability with which epsilon may be exceeded: below 1 / number of clients, and under RecordLevel below
    1 / (records * number of clients). A tenth of it is much; RecordLevel knows of none below 1e-10."""
    clip: Annotated[float, Field(ge=1e-6, le=1e6)] | None = None
    """C: the L2 norm to which each update is clipped, and under RecordLevel the gradient of each record."""
    noise_multiplier: Annotated[float, Field(ge=0.01, le=10_000)] | None = None
    """The noise's standard deviation over the sensitivity of what it is added to, when one client or record is
    replaced by another. Flower's multipliers count one that is left out, and are twice as large for the same noise.
    Without epsilon, what may be spent follows from it; with both, all rounds must fit."""
    records: Annotated[int, Field(ge=1, le=10**9)] | None = None
    """RecordLevel: the fewest records that any client has. One with fewer does not train."""
    batch_size: Annotated[int, Field(ge=1, le=10**9)] | None = None
    """RecordLevel: how many records a step of DP-SGD draws in the mean, each with probability batchSize / records."""
    steps: Annotated[int, Field(ge=1, le=1_000_000)] | None = None
    """RecordLevel: the most steps that a client makes in a round."""
    amplification: bool = False
    """ClientLevelCentral with fractionTrain below 1: true counts on nobody learning who takes part in a round, for
    which less noise is needed. Status, metrics and records of rounds tell it to whoever may read them."""
    adaptive_clipping: AdaptiveClipping | None = None
    """ClientLevelCentral: the clip begins at clip and follows the updates' norms."""
    acknowledge: Annotated[tuple[Acknowledgement, ...], Field(min_length=1, max_length=8)] | None = None
    """Warnings that somebody has read and takes upon them. LowSignalToNoise: the noise of a round outweighs what one
    client says."""
    budget_ref: Annotated[str, Field(min_length=1, max_length=63, pattern=LABEL)] | None = None
    """Name of the PrivacyBudget that this training draws on."""
