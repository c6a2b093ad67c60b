"""status as a whole, and its small parts."""

from typing import Annotated

from pydantic import Field

from shieldwall.control.api.fields import ApiModel
from shieldwall.control.api.status.clients import ClientsStatus
from shieldwall.control.api.status.condition import Conditions, SeenGeneration
from shieldwall.control.api.status.pki import PkiStatus
from shieldwall.control.api.status.security import SecurityStatus
from shieldwall.control.api.status.words import Count, Sha256, Text, Word


class Summary(ApiModel):
    """What ``kubectl get`` shows."""

    round: Word | None = None
    """Rounds released and wanted, such as 7/30."""
    clients: Word | None = None
    """Clients ready and wanted, such as 10/10."""
    epsilon: Word | None = None
    """Privacy spent and allowed, such as 0.31/1."""


class PrivacyStatus(ApiModel):
    """Differential privacy, as accounted from the ledger of releases."""

    mode: Word | None = None
    """The mode in force."""
    unit: Word | None = None
    """What is hidden: one record, or one client with all that it has."""
    adjacency: Word | None = None
    """How it is counted: replace-one, one unit is replaced by another."""
    epsilon_spent: Annotated[float, Field(ge=0)] | None = None
    """The privacy loss so far, over all runs: of the client that spent most, with epsilonLost on top."""
    epsilon_target: Annotated[float, Field(ge=0)] | None = None
    """The privacy loss allowed."""
    delta: Annotated[float, Field(ge=0, le=1)] | None = None
    """The probability by which epsilonSpent, without epsilonLost, was counted: spec.privacy.delta at that time."""
    releases: Count | None = None
    """How many lines the ledger has."""
    epsilon_lost: Annotated[float, Field(ge=0)] | None = None
    """What was spent by ledgers that were lost or set back: all that they had told of. With one ledger's loss after
    another's the sum is lost (basic composition)."""
    delta_lost: Annotated[float, Field(ge=0)] | None = None
    """The sum of the deltas by which epsilonLost was counted. The whole holds with delta and deltaLost together."""
    noise_multiplier: Annotated[float, Field(ge=0)] | None = None
    """The noise's standard deviation over the sensitivity of what it is added to."""
    rounds_left: Count | None = None
    """How many more rounds may be opened within epsilonTarget."""
    signal_to_noise: Annotated[float, Field(ge=0)] | None = None
    """clip / (standard deviation of the noise * square root of the model's parameters) of the last release. Below 0.3
    the noise outweighs what one client says."""


class ModelStatus(ApiModel):
    """The last released model."""

    checkpoint: Annotated[str, Field(max_length=512)] | None = None
    """Its file on the model's volume."""
    sha256: Sha256 | None = None
    """Its digest."""
    round: Count | None = None
    """The round that released it."""


class FederatedTrainingStatus(ApiModel):
    """What the operator has observed."""

    observed_generation: SeenGeneration | None = None
    """The generation of the spec that this status is about; -1 before the operator has seen the training."""
    conditions: Conditions = ()
    """Ready, Reconciling, Stalled (kstatus) and a few more."""
    phase: Word | None = None
    """Where the training is: Starting, WaitingForClients, Training, Completed or Failed, as the steward says;
    Suspended, Unreachable while the steward does not answer, or Invalid for a spec that cannot be acted on."""
    message: Text | None = None
    """The same in a sentence."""
    round: Count | None = None
    """The last released round."""
    accuracy: float | None = None
    """What the app's evaluate said of the last released model."""
    summary: Summary | None = None
    """What kubectl get shows."""
    clients: ClientsStatus | None = None
    """The clients, counted, and the worst of them."""
    privacy: PrivacyStatus | None = None
    """Privacy spent."""
    pki: PkiStatus | None = None
    """The training's certificates."""
    model: ModelStatus | None = None
    """The last released model."""
    security: SecurityStatus | None = None
    """The score, with a reason for each point lost."""
