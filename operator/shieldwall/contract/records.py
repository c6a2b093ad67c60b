"""What the pods tell each other about rounds, as JSON. Ids of Flower (unsigned 64 bit) travel as decimal text."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Final

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from shieldwall.contract.privacy import PrivacyRecord

MOST_CLIENTS: Final = 500
"""Of one training."""
MOST_METRICS: Final = 256
"""Of the released model, in a status; records of rounds keep them all."""
LONGEST_MESSAGE: Final = 1024
_LONGEST_METRIC: Final = 256
_CUSTOMARY: Final = frozenset({"accuracy", "loss"})


def _few(metrics: dict[str, float]) -> dict[str, float]:
    """The app's author decides how many there are: the customary ones stay, the last ones go."""
    named = [name for name in metrics if len(name) <= _LONGEST_METRIC]
    kept = set(sorted(named, key=lambda name: name not in _CUSTOMARY)[:MOST_METRICS])
    return {name: value for name, value in metrics.items() if name in kept}


def _short(text: str) -> str:
    """It may quote Flower's words about a run, of any length."""
    return text[:LONGEST_MESSAGE]


Hex = Annotated[str, Field(max_length=64)]
Count = Annotated[int, Field(ge=0, lt=2**31)]
Tally = Annotated[int, Field(ge=0, lt=2**53)]
"""Of requests: there are more of them."""
Moment = Annotated[float, Field(ge=0, lt=253_402_300_800, allow_inf_nan=False)]
"""Unix seconds, up to the last year that a date can say."""
Ratio = Annotated[float, Field(ge=0, le=1)]
NodeId = Annotated[str, Field(max_length=20)]
Nonces = Annotated[
    dict[Annotated[str, Field(max_length=64)], Annotated[str, Field(max_length=64)]], Field(max_length=MOST_CLIENTS)
]
Metrics = Annotated[dict[str, float], AfterValidator(_few)]
Message = Annotated[str, AfterValidator(_short)]


class _Record(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class OpenRound(_Record):
    """A round that is open: clients sign replies for it and for no other."""

    run_id: str
    round: int
    attempt: int
    """1, and one more each time the same round is repeated for want of replies."""
    nonce: str
    """32 random bytes, hex: chosen by the aggregator for this attempt."""
    base_sha256: str
    """Hex digest of the model that was sent out (shieldwall.runtime.model.model_sha256)."""
    clients: tuple[str, ...]
    """Names of those asked."""
    opened: float
    """Unix seconds."""
    privacy: PrivacyRecord | None = None
    """How privacy stands before anybody is asked: attempts whose aggregator died, and which have no record, are in it.
    None where nothing is private."""


class RegisteredNode(_Record):
    """What the SuperLink calls a client."""

    node_id: NodeId
    online: bool
    """Whether a SuperNode with the client's node key has sent its heartbeats."""


class RoundGrant(_Record):
    """The steward's answer to an OpenRound."""

    denied: tuple[str, ...]
    """Clients on the deny list: their replies are not to be admitted."""


class Fate(StrEnum):
    """What became of one client's reply in a round. One word each, stable: they are metric labels."""

    ADMITTED = "admitted"
    NO_REPLY = "no-reply"
    """Asked, and silent until the round closed."""
    CLIENT_ERROR = "client-error"
    """The client answered with an error (its app raised, or its node went away)."""
    MALFORMED = "malformed"
    """Not a message with exactly one model and one set of metrics."""
    UNSIGNED = "unsigned"
    BAD_SIGNATURE = "bad-signature"
    """The signature does not fit the content, or the certificate does not hold."""
    WRONG_SIGNER = "wrong-signer"
    """Validly signed by another client than the one asked."""
    STALE = "stale"
    """Signed for another run, round, attempt or base model: a replay."""
    TAMPERED = "tampered"
    """The content is not what was signed."""
    DENIED = "denied"
    NOT_PRIVATE = "not-private"
    """The client does not attest the noise that the policy asks of it."""
    WRONG_SCHEMA = "wrong-schema"
    """Array names, order, shapes or dtypes are not the model's."""
    NOT_FINITE = "not-finite"
    NORM_TOO_LARGE = "norm-too-large"
    NORM_OUTLIER = "norm-outlier"
    """The update's norm is far from the round's, or from what this client's was before."""
    DISTANCE_OUTLIER = "distance-outlier"
    """The update lies far from the others, or farther than this client's did before."""
    NEAR_DUPLICATE = "near-duplicate"
    """Two clients sent one update."""


class Flag(StrEnum):
    """Why an update looks like no contribution. One word each, stable: they are metric labels."""

    TINY = "tiny"
    """Its norm is next to nothing beside the others'."""
    COPY = "copy"
    """It is another client's update, or the other's is its. Reported, never held against it alone."""
    REPLAY = "replay"
    """It is what the global model did in an earlier round, or is put together from what it did in many."""
    REPEAT = "repeat"
    """It is what this client sent before."""
    NO_INNOVATION = "no-innovation"
    """For some rounds, nothing that it said anew was borne out by the others."""
    LOW_COSINE = "low-cosine"
    """It points away from the aggregate more than the policy's ``min_cosine`` allows."""
    OPPOSED = "opposed"
    """It points away from the others, far more than they differ among themselves. Reported, never held against it."""


class Held(StrEnum):
    """Why a client with strikes enough is not banned."""

    DRY_RUN = "dry-run"
    PARDONED = "pardoned"
    """It was reinstated, and is left alone for as long as a ban lasts."""
    EXEMPT = "exempt"
    EARLY = "early"
    """The training is too young."""
    FEW_CLIENTS = "few-clients"
    """Too few clients take part to tell."""
    MOST_BANNED = "most-banned"
    """As many are banned as there may be liars."""
    REPLIES_NEEDED = "replies-needed"
    """Without it the next round would have too few replies."""


class ReplyRecord(_Record):
    """One client's part in a round."""

    client: str
    node_id: str
    fate: Fate
    detail: str = ""
    """One sentence for people; empty when admitted."""
    seconds: float | None = None
    """From the round's opening to the reply's arrival."""
    norm: float | None = None
    """L2 norm of the update."""
    cosine: float | None = None
    """Cosine of the update and the round's aggregate."""
    distance: float | None = None
    """L2 distance of the update and the round's aggregate."""
    num_examples: int | None = None
    """As the client claims; never used as a weight by a robust rule."""
    selected: bool | None = None
    """Whether the rule used the update (selection rules)."""
    serial: str | None = None
    """Serial number (hex) of the certificate that signed."""
    node_key: Hex | None = None
    """SHA-256 (hex) of the client's node key (SubjectPublicKeyInfo DER)."""
    spread: float | None = None
    """Median L2 distance of the update and the others."""
    norm_z: float | None = None
    """Robust z-score of the norm against the round."""
    distance_z: float | None = None
    """Robust z-score of ``spread`` against the round."""
    innovation: float | None = None
    """R² of what the update says anew, explained by what the others say anew."""
    likeness: float | None = None
    """Greatest cosine with another update of the round or an earlier global delta."""
    agreement: float | None = None
    """Cosine with the sum of the other updates' directions."""
    flags: tuple[Flag, ...] | None = None
    """What this round alone shows against the update; None where contribution was not looked at."""


class Outcome(StrEnum):
    """How an attempt at a round ended."""

    RELEASED = "released"
    REPEATED = "repeated"
    """Too few admitted replies for the rule or for minReplies: nothing was released, and the round is tried again."""
    SKIPPED = "skipped"
    """The same, and the next round goes on from the model as it was."""


class RoundRecord(_Record):
    """What happened in one attempt at a round."""

    run_id: str
    round: int
    attempt: int
    outcome: Outcome
    reason: str = ""
    """One sentence for people, without its stop: why nothing was released."""
    opened: float
    seconds: float
    rule: str
    pre_aggregation: str | None = None
    """What was done to the updates before the rule."""
    admitted: int
    byzantine: int
    replies: tuple[ReplyRecord, ...]
    model_sha256: str | None = None
    """Hex digest of the checkpoint file that was released."""
    metrics: dict[str, float] = {}
    """What ``evaluate`` returned for the released model; ``accuracy`` and ``loss`` by custom."""
    innovation_floor: float | None = None
    """What R² must exceed to be more than chance; None where the round has no power to tell."""
    privacy: PrivacyRecord | None = None
    """How privacy stands after it; None where nothing is private."""


class Phase(StrEnum):
    """Where the training is, as the steward sees it."""

    STARTING = "Starting"
    WAITING = "WaitingForClients"
    TRAINING = "Training"
    COMPLETED = "Completed"
    FAILED = "Failed"


class ClientStatus(_Record):
    """What the steward has seen of one client."""

    name: Annotated[str, Field(max_length=64)]
    node_id: NodeId | None = None
    online: bool = False
    denied: bool = False
    serial: Hex | None = None
    """Serial number (hex) of the certificate last seen."""
    not_after: Moment | None = None
    """Unix seconds: when that certificate ends."""
    last_seen: Moment | None = None
    admitted: Count = 0
    refused: Count = 0
    innovation: Ratio | None = None
    """Moving R² of what the client's updates say anew."""
    strikes: Count = 0
    flags: Annotated[tuple[Flag, ...], Field(max_length=len(Flag))] = ()
    """Of the last round in which it was scored."""
    banned_since: Count | None = None
    """The round after which it was banned for not contributing; None when it is not banned."""
    probation_until: Count | None = None
    """The last round of a probation."""
    held: Held | None = None
    """Its strikes are enough for a ban: why there is none."""


class Denial(_Record):
    """Requests that the gate refused, one line for each client and reason."""

    client: Annotated[str, Field(max_length=512)]
    """The SPIFFE id, or ``unknown``."""
    reason: Annotated[str, Field(max_length=256)]
    count: Tally
    last: Moment


class StewardStatus(_Record):
    """The state of a training, as observed inside its server pod.

    That pod is the tenant's: whoever reads this reads what a tenant may have written, so each part has a bound, and
    one that a steward of ours never crosses.
    """

    phase: Phase
    message: Message
    run_id: NodeId | None
    runs_started: Count
    round: Count
    """The last released round; 0 before the first."""
    lost: Count = 0
    """Rounds that are over and released nothing (see shieldwall.runtime.tally)."""
    rounds: Count
    records: Count
    """How many RoundRecords there are (see OPERATOR_ROUNDS)."""
    metrics: Metrics
    model_sha256: Hex | None
    clients: Annotated[tuple[ClientStatus, ...], Field(max_length=MOST_CLIENTS)]
    denials: Annotated[tuple[Denial, ...], Field(max_length=16 * (MOST_CLIENTS + 1))]
    """One for each client, and for strangers, and reason."""
    handshakes: Annotated[dict[str, Tally], Field(max_length=64)]
    """Counters of the proxy by listener and cause, as ``fleet.no-certificate``."""
    aggregator_serial: Hex | None = None
    """Serial number (hex) of the certificate that the aggregator last showed, on a call about rounds."""
    aggregator_not_after: Moment | None = None
    """Unix seconds: when that certificate ends."""
    policy_sha256: Hex | None = None
    """Hex digest of the policy file, byte for byte, that the steward has been running with since its start."""
    reinstated: Nonces = {}
    """By client: the last request to reinstate it that was carried out."""
    privacy: PrivacyRecord | None = None
    """How privacy stood when the round that is open was opened; None where none is open, or nothing is private."""


class Reinstatements(_Record):
    """Clients that people want back."""

    nonces: Nonces
    """By client: the request; another nonce is another request."""


class DenyList(_Record):
    """Who may not pass, whatever certificate they show."""

    clients: tuple[str, ...] = ()
    """SPIFFE ids."""
    serials: tuple[str, ...] = ()
    """Certificate serial numbers, lower-case hex without leading zeros."""
    node_keys: tuple[str, ...] = ()
    """SHA-256 (hex) of node public keys (SubjectPublicKeyInfo DER)."""
