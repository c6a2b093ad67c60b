"""What a run came to, as JSON: the report and ``--json`` are made of it."""

from __future__ import annotations

from enum import StrEnum

from pydantic import BaseModel, ConfigDict

from shieldwall.contract.privacy import BUDGET_SPENT
from shieldwall.contract.records import Outcome, RoundRecord, StewardStatus
from shieldwall.runtime.tally import Tally


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class End(StrEnum):
    """How a run ended."""

    COMPLETED = "completed"
    FAILED = "failed"
    INTERRUPTED = "interrupted"


class CertificateFacts(_Model):
    """What people ask about a pod's certificate."""

    subject: str
    """``server``, ``aggregator`` or ``client/<name>``."""
    serial: str
    issuer: str
    expires: float
    """Unix seconds."""
    renews: float
    """Unix seconds."""


class ContainerFacts(_Model):
    """How one container fared."""

    pod: str
    container: str
    restarts: int
    exits: tuple[int, ...]
    """Exit codes, oldest first; −n for an end by signal n."""
    log: str
    """Path of its output, relative to the run's directory."""


class ModelFacts(_Model):
    """The last released model."""

    path: str
    sha256: str
    size: int
    """Bytes."""


class Timings(_Model):
    """Seconds from the start of the run."""

    server_ready: float | None = None
    first_client_online: float | None = None
    first_round: float | None = None
    """Until the first round was released."""
    total: float


class RunOutcome(_Model):
    """One run of a training on this machine."""

    training: str
    label: str
    """One line for charts and tables, as ``Shieldwall, 2 sign-flip attackers``."""
    protected: bool
    """False for the baseline without any protection."""
    end: End
    message: str
    """A sentence; why, when it did not complete."""
    clients: tuple[str, ...]
    attackers: dict[str, str]
    """Kind of attack, by client."""
    rule: str
    byzantine: int
    status: StewardStatus | None
    records: tuple[RoundRecord, ...]
    certificates: tuple[CertificateFacts, ...]
    containers: tuple[ContainerFacts, ...]
    timings: Timings
    model: ModelFacts | None
    isolation: str
    """How containers were kept apart, as a sentence."""
    started: float
    """Unix seconds."""

    @property
    def released(self) -> tuple[RoundRecord, ...]:
        """The rounds that count, in order."""
        return tuple(record for record in self.records if record.outcome is Outcome.RELEASED)

    @property
    def accuracy(self) -> float | None:
        """Of the last released model, when the app evaluates."""
        return self.released[-1].metrics.get("accuracy") if self.released else None

    @property
    def epsilon(self) -> float | None:
        """What was spent of privacy in all, by the last record that says so."""
        return next((record.privacy.epsilon for record in reversed(self.records) if record.privacy is not None), None)

    @property
    def rounds_lost(self) -> int:
        """Rounds that are over and released nothing; the message says why."""
        return Tally.of(self.records).lost

    @property
    def budget_spent(self) -> bool:
        """Whether it ended because another round would pass the policy's ε."""
        return BUDGET_SPENT in self.message.lower()
