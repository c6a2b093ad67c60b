"""What the pods tell each other about rounds, as JSON. Ids of Flower (unsigned 64 bit) travel as decimal text."""

from __future__ import annotations

from enum import StrEnum

from pydantic import BaseModel, ConfigDict


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
    WRONG_SCHEMA = "wrong-schema"
    """Array names, order, shapes or dtypes are not the model's."""
    NOT_FINITE = "not-finite"
    NORM_TOO_LARGE = "norm-too-large"


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


class Outcome(StrEnum):
    """How an attempt at a round ended."""

    RELEASED = "released"
    REPEATED = "repeated"
    """Too few admitted replies for the rule or for minReplies: nothing was released."""


class RoundRecord(_Record):
    """What happened in one attempt at a round."""

    run_id: str
    round: int
    attempt: int
    outcome: Outcome
    opened: float
    seconds: float
    rule: str
    admitted: int
    byzantine: int
    replies: tuple[ReplyRecord, ...]
    model_sha256: str | None = None
    """Hex digest of the checkpoint file that was released."""
    metrics: dict[str, float] = {}
    """What ``evaluate`` returned for the released model; ``accuracy`` and ``loss`` by custom."""


class Phase(StrEnum):
    """Where the training is, as the steward sees it."""

    STARTING = "Starting"
    WAITING = "WaitingForClients"
    TRAINING = "Training"
    COMPLETED = "Completed"
    FAILED = "Failed"


class ClientStatus(_Record):
    """What the steward has seen of one client."""

    name: str
    node_id: str | None = None
    online: bool = False
    denied: bool = False
    serial: str | None = None
    """Serial number (hex) of the certificate last seen."""
    not_after: float | None = None
    """Unix seconds: when that certificate ends."""
    last_seen: float | None = None
    admitted: int = 0
    refused: int = 0


class Denial(_Record):
    """Requests that the gate refused, one line for each client and reason."""

    client: str
    """The SPIFFE id, or ``unknown``."""
    reason: str
    count: int
    last: float


class StewardStatus(_Record):
    """The state of a training, as observed inside its server pod."""

    phase: Phase
    message: str
    run_id: str | None
    runs_started: int
    round: int
    """The last released round; 0 before the first."""
    rounds: int
    records: int
    """How many RoundRecords there are (see OPERATOR_ROUNDS)."""
    metrics: dict[str, float]
    model_sha256: str | None
    clients: tuple[ClientStatus, ...]
    denials: tuple[Denial, ...]
    handshakes: dict[str, int]
    """Counters of the proxy by listener and cause, as ``fleet.no-certificate``."""


class DenyList(_Record):
    """Who may not pass, whatever certificate they show."""

    clients: tuple[str, ...] = ()
    """SPIFFE ids."""
    serials: tuple[str, ...] = ()
    """Certificate serial numbers, lower-case hex without leading zeros."""
    node_keys: tuple[str, ...] = ()
    """SHA-256 (hex) of node public keys (SubjectPublicKeyInfo DER)."""
