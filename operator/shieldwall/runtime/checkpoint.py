"""Released models and the ledger of rounds, on the aggregator's volume.

| file | what |
|---|---|
| ``round-<n>.npz`` | the model released by round n; ``numpy.load`` reads it, no pickle inside |
| ``ledger.jsonl`` | every RoundRecord, one a line |
| ``privacy.jsonl`` | every Spend, one a line |
| ``head`` | which checkpoints and how much of both ledgers count: a SHA-256, a space, the JSON it is of |
| ``model.npz`` | another name of the newest checkpoint, for people |

A release is written in this order, each step on disk before the next: checkpoint, ledger line, head. **The rename of
``head`` is the commit point**: before it the old release stands, after it the new one, and a reader never sees
the model of one with the record of the other. What a crash leaves beyond the head was seen by nobody; it is dropped at
the next opening. What a release costs is committed before it in the same way, for itself.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from shieldwall.contract.privacy import Spend
from shieldwall.contract.records import Outcome, RoundRecord
from shieldwall.runtime.chained import BrokenChainError
from shieldwall.runtime.durable import TEMPORARY_SUFFIX, alias_file, exclusive, write_file
from shieldwall.runtime.head import LEDGER, PRIVACY, Head, Kept, StoreCorruptError, read_head, write_head
from shieldwall.runtime.npz import read_npz, write_npz

if TYPE_CHECKING:
    from pathlib import Path

    from shieldwall.runtime.model import Model

NEWEST: Final = "model.npz"


class OvertakenError(RuntimeError):
    """Another process has committed to this store since this one opened it: this one must stop."""


@dataclass(frozen=True, slots=True)
class LostCheckpoint:
    """A committed checkpoint that could not be read back."""

    round: int
    file: str
    reason: str


@dataclass(frozen=True, slots=True, eq=False)
class Release:
    """The newest model that can be read, and all that happened."""

    round: int
    model: Model
    sha256: str
    """Hex digest of the checkpoint file; ``model_sha256`` in its record."""
    records: tuple[RoundRecord, ...]
    """Every committed attempt, oldest first: also of lost checkpoints, which were released all the same."""
    lost: tuple[LostCheckpoint, ...] = ()
    """Newer checkpoints that were passed over, newest first: a warning for people."""


@dataclass(frozen=True, slots=True)
class _State:
    head: Head
    records: tuple[RoundRecord, ...]
    spends: tuple[Spend, ...]
    release: Release | None


class CheckpointStore:
    """The one writer of a directory of releases.

    Opening it recovers what was committed; raises StoreCorruptError, and OSError as the volume does. ``keep`` is how
    many checkpoints stay besides the newest.
    """

    def __init__(self, directory: Path, keep: int = 3) -> None:
        self._directory = directory
        self._keep = keep
        directory.mkdir(parents=True, exist_ok=True)
        with exclusive(directory):
            self._state = _recover(directory)
            self._tidy()

    def latest(self) -> Release | None:
        """The release to go on from; None when no round has been released yet."""
        return self._state.release

    @property
    def directory(self) -> Path:
        """Where it lies."""
        return self._directory

    @property
    def records(self) -> tuple[RoundRecord, ...]:
        """Every committed record, also of attempts before the first release."""
        return self._state.records

    @property
    def spends(self) -> tuple[Spend, ...]:
        """Every committed line of the privacy ledger, oldest first."""
        return self._state.spends

    def save(self, model: Model, record: RoundRecord) -> Release:
        """Commit ``model`` as the release of ``record.round``; it counts once this returns.

        The record is stored with ``model_sha256`` filled in. Raises OvertakenError, and ValueError for a record that
        is not of a later round, did not release or cannot be read back from JSON.
        """
        newest = self._state.release.round if self._state.release else 0
        if record.outcome is not Outcome.RELEASED or record.round <= newest:
            raise ValueError(f"round {record.round} ({record.outcome}) cannot be released after round {newest}")
        with exclusive(self._directory):
            self._refuse_if_overtaken()
            kept = Kept(round=record.round, sha256="")
            digest = write_file(self._directory / kept.file, lambda sink: write_npz(sink, model))
            record = record.model_copy(update={"model_sha256": digest})
            older = self._readable()[-self._keep :] if self._keep else ()
            self._commit(record, None, (*older, kept.model_copy(update={"sha256": digest})))
            release = Release(record.round, model, digest, self._state.records)
            self._state = replace(self._state, release=release)
            self._tidy()
        return release

    def note(self, record: RoundRecord) -> None:
        """Commit the record of an attempt that released no model; raises as ``save`` does."""
        if record.outcome is Outcome.RELEASED:
            raise ValueError(f"round {record.round} was released: its record goes with its model")
        with exclusive(self._directory):
            self._refuse_if_overtaken()
            self._commit(record, None, self._readable())

    def spend(self, spend: Spend) -> None:
        """Commit a line of the privacy ledger before anybody sees what it pays for; raises as ``save`` does."""
        with exclusive(self._directory):
            self._refuse_if_overtaken()
            self._commit(None, spend, self._readable())

    def _readable(self) -> tuple[Kept, ...]:
        newest = self._state.release.round if self._state.release else 0
        return tuple(kept for kept in self._state.head.releases if kept.round <= newest)

    def _refuse_if_overtaken(self) -> None:
        if read_head(self._directory) != self._state.head:
            raise OvertakenError(f"{self._directory}: another process has committed here since")

    def _commit(self, record: RoundRecord | None, spend: Spend | None, releases: tuple[Kept, ...]) -> None:
        before = self._state.head
        ledger = before.ledger.extended(self._directory / LEDGER, record)
        privacy = before.privacy.extended(self._directory / PRIVACY, spend)
        head = Head(
            ledger_bytes=ledger.size,
            ledger_chain=ledger.chain,
            privacy_bytes=privacy.size,
            privacy_chain=privacy.chain,
            releases=releases,
        )
        write_head(self._directory, head)
        self._state = replace(
            self._state,
            head=head,
            records=self._state.records if record is None else (*self._state.records, record),
            spends=self._state.spends if spend is None else (*self._state.spends, spend),
        )

    def _tidy(self) -> None:
        """Point ``model.npz`` at the newest checkpoint and drop what no longer counts."""
        release, newest = self._state.release, self._directory / NEWEST
        if release is not None:
            file = self._directory / Kept(round=release.round, sha256="").file
            if not (newest.exists() and newest.samefile(file)):
                alias_file(file, newest)
        counting = {kept.file for kept in self._state.head.releases}
        for path in (*self._directory.glob("round-*.npz"), *self._directory.glob(f"*{TEMPORARY_SUFFIX}")):
            if path.name not in counting:
                path.unlink(missing_ok=True)


def read_latest(directory: Path) -> Release | None:
    """The newest release in ``directory``, changing nothing there; for readers beside a running writer.

    Raises StoreCorruptError.
    """
    return _recover(directory).release


def _recover(directory: Path) -> _State:
    head = read_head(directory)
    try:
        records = head.ledger.read(directory / LEDGER, RoundRecord)
        spends = head.privacy.read(directory / PRIVACY, Spend)
    except BrokenChainError as error:
        raise StoreCorruptError(error.path, error.reason) from error
    lost: list[LostCheckpoint] = []
    for kept in reversed(head.releases):
        try:
            model = read_npz(directory / kept.file, kept.sha256)
        except (OSError, ValueError) as error:
            lost.append(LostCheckpoint(kept.round, kept.file, str(error)))
        else:
            return _State(head, records, spends, Release(kept.round, model, kept.sha256, records, tuple(lost)))
    if lost:
        raise StoreCorruptError(directory, f"no checkpoint can be read: {lost[0].reason}")
    return _State(head, records, spends, None)
