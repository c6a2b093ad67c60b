"""What stands around the round code in place of pods: a clock, a steward, a volume."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from shieldwall.contract.records import RoundGrant
from shieldwall.runtime.checkpoint import Release
from shieldwall.runtime.contribution.conduct import Court, after_record, banned_keys
from shieldwall.runtime.federation.inspection import key_sha256

if TYPE_CHECKING:
    from pathlib import Path

    from shieldwall.contract.policy import RuntimePolicy
    from shieldwall.contract.privacy import Spend
    from shieldwall.contract.records import OpenRound, RoundRecord
    from shieldwall.runtime.contribution.conduct import Conducts
    from shieldwall.runtime.model import Model


@dataclass(slots=True)
class LabClock:
    """Goes on by itself, and further by every sleep: nobody waits for a silent client here."""

    began: datetime = field(default_factory=lambda: datetime.now(UTC))
    _started: float = field(default_factory=time.monotonic)
    _slept: float = 0.0

    def now(self) -> datetime:
        """See Clock."""
        return self.began + timedelta(seconds=self.monotonic())

    def monotonic(self) -> float:
        """See Clock."""
        return time.monotonic() - self._started + self._slept

    def sleep(self, seconds: float) -> None:
        """Let time pass without waiting."""
        self._slept += seconds


class LabSteward:
    """Grants every round to all but those whom it has banned, by the same rules as the pods' steward."""

    def __init__(self, policy: RuntimePolicy) -> None:
        self._keys = {client.name: key_sha256(client.node_public_key) for client in policy.clients}
        self._court = Court.of(policy, self._keys)
        self._conducts: Conducts = {}

    def open(self, opening: OpenRound) -> RoundGrant:
        """See Steward."""
        banned = banned_keys(self._conducts)
        return RoundGrant(denied=tuple(client for client in opening.clients if self._keys[client] in banned))

    def close(self, record: RoundRecord) -> None:
        """See Steward."""
        if self._court is not None:
            self._conducts = after_record(self._conducts, record, self._court)


@dataclass(slots=True)
class MemoryStore:
    """Releases in memory: what CheckpointStore keeps on disk."""

    directory: Path
    """Empty, for what else a round keeps."""
    _release: Release | None = None
    _records: tuple[RoundRecord, ...] = ()
    _spends: tuple[Spend, ...] = ()

    def latest(self) -> Release | None:
        """See CheckpointStore."""
        return self._release

    @property
    def records(self) -> tuple[RoundRecord, ...]:
        """See CheckpointStore."""
        return self._records

    @property
    def spends(self) -> tuple[Spend, ...]:
        """See CheckpointStore."""
        return self._spends

    def save(self, model: Model, record: RoundRecord) -> Release:
        """See CheckpointStore; no file, so the digest is the model's own."""
        record = record.model_copy(update={"model_sha256": model.sha256})
        self.note(record)
        self._release = Release(record.round, model, model.sha256, self._records)
        return self._release

    def note(self, record: RoundRecord) -> None:
        """See CheckpointStore."""
        self._records = (*self._records, record)

    def spend(self, spend: Spend) -> None:
        """See CheckpointStore."""
        self._spends = (*self._spends, spend)
