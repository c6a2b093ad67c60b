"""status: what the operator has observed. At most about 20 KiB, whatever the number of clients.

Lists hold the few worst or next entries, never all clients. Times are RFC 3339.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from shieldwall.control.api.fields import ApiModel

WORST_CLIENTS = 20

Word = Annotated[str, Field(max_length=64)]
Text = Annotated[str, Field(max_length=1024)]
Time = Annotated[str, Field(max_length=64, json_schema_extra={"format": "date-time"})]
Sha256 = Annotated[str, Field(max_length=64, pattern=r"^[0-9a-f]{64}$")]
Count = Annotated[int, Field(ge=0, le=2**53)]
Points = Annotated[int, Field(ge=0, le=100)]


class ConditionStatus(StrEnum):
    """Whether a condition holds."""

    TRUE = "True"
    FALSE = "False"
    UNKNOWN = "Unknown"


class Condition(ApiModel):
    """One aspect of the training's state, as the Kubernetes API conventions have it."""

    type: Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[A-Za-z]+$")]
    """Which aspect: Ready, Reconciling, Stalled, Certificates, Privacy."""
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


class Summary(ApiModel):
    """What ``kubectl get`` shows."""

    round: Word | None = None
    """Rounds released and wanted, such as 7/30."""
    clients: Word | None = None
    """Clients ready and wanted, such as 10/10."""
    epsilon: Word | None = None
    """Privacy spent and allowed, such as 0.31/1."""


class ClientReport(ApiModel):
    """One client that needs a look."""

    name: Word
    """Name of the client."""
    state: Word
    """One word: offline, banned, refused, outvoted, ok."""
    message: Text | None = None
    """Why, in a sentence."""
    admitted: Count = 0
    """Replies that were admitted."""
    refused: Count = 0
    """Replies that were refused."""


class ClientsStatus(ApiModel):
    """The clients, counted."""

    ready: Count = 0
    """Clients that are connected."""
    total: Count = 0
    """Clients of the spec."""
    banned: Count = 0
    """Clients that are shut out."""
    worst: Annotated[
        tuple[ClientReport, ...],
        Field(
            max_length=WORST_CLIENTS,
            json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]},
        ),
    ] = ()
    """The clients that most need a look."""


class PrivacyStatus(ApiModel):
    """Differential privacy, as accounted from the ledger of releases."""

    mode: Word | None = None
    """The mode in force."""
    epsilon_spent: Annotated[float, Field(ge=0)] | None = None
    """The privacy loss so far."""
    epsilon: Annotated[float, Field(ge=0)] | None = None
    """The privacy loss allowed."""
    delta: Annotated[float, Field(ge=0, le=1)] | None = None
    """The probability with which epsilon may be exceeded."""


class Deadline(ApiModel):
    """Something that must have happened by a time."""

    subject: Annotated[str, Field(max_length=253)]
    """What: issuer, crl, server, client/berlin."""
    action: Word
    """What must happen: renew, publish."""
    due: Time
    """By when."""


class PkiStatus(ApiModel):
    """The training's certificates."""

    phase: Word | None = None
    """Where a rotation is: Stable, Prepared, Trusting, Switching, Draining or Emergency."""
    issuer: Word | None = None
    """Serial number of the issuing CA, hexadecimal."""
    served: Count = 0
    """Leaves that were seen in use."""
    total: Count = 0
    """Leaves that there are."""
    deadlines: Annotated[tuple[Deadline, ...], Field(max_length=8)] = ()
    """The next things that are due."""


class ModelStatus(ApiModel):
    """The last released model."""

    checkpoint: Annotated[str, Field(max_length=512)] | None = None
    """Its file on the model's volume."""
    sha256: Sha256 | None = None
    """Its digest."""
    round: Count | None = None
    """The round that released it."""


class ResidencyStatus(ApiModel):
    """Where clients were seen to run."""

    observed: Annotated[tuple[Annotated[str, Field(max_length=63)], ...], Field(max_length=64)] = ()
    """Regions of the nodes that clients run on."""


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


class FederatedTrainingStatus(ApiModel):
    """What the operator has observed."""

    observed_generation: Count | None = None
    """The generation of the spec that this status is about."""
    conditions: Annotated[
        tuple[Condition, ...],
        Field(
            max_length=16,
            json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]},
        ),
    ] = ()
    """Ready, Reconciling, Stalled (kstatus) and a few more."""
    phase: Word | None = None
    """Where the training is: Starting, WaitingForClients, Training, Completed or Failed."""
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
    residency: ResidencyStatus | None = None
    """Where clients were seen to run."""
    security: SecurityStatus | None = None
    """The score, with a reason for each point lost."""
