"""Released models and the ledger of rounds, on the aggregator's volume.

| file | what |
|---|---|
| ``round-<n>.npz`` | the model released by round n; ``numpy.load`` reads it, no pickle inside |
| ``ledger.jsonl`` | every RoundRecord, one a line |
| ``head`` | which checkpoints and how much of the ledger count: a SHA-256, a space, the JSON it is of |
| ``model.npz`` | another name of the newest checkpoint, for people |

A release is written in this order, each step on disk before the next: checkpoint, ledger line, head. **The rename of
``head`` is the commit point**: before it the old release stands, after it the new one, and a reader never sees
the model of one with the record of the other. What a crash leaves beyond the head is dropped at the next opening.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from shieldwall.contract.records import Outcome, RoundRecord
from shieldwall.runtime.durable import TEMPORARY_SUFFIX, Sink, alias_file, exclusive, extend_file, write_file
from shieldwall.runtime.npz import read_npz, write_npz

if TYPE_CHECKING:
    from pathlib import Path

    from shieldwall.runtime.model import Model

LEDGER: Final = "ledger.jsonl"
HEAD: Final = "head"
NEWEST: Final = "model.npz"


class StoreCorruptError(RuntimeError):
    """The volume does not hold what was committed, and there is nothing older to fall back to; people must look.

    Starting over instead would forget what was released, and with it the privacy that was spent.
    """

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(f"{path}: {reason}")
        self.path = path
        self.reason = reason


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


class _Kept(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    round: int
    sha256: str

    @property
    def file(self) -> str:
        return f"round-{self.round}.npz"


class _Head(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    version: Literal[1] = 1
    ledger_bytes: int = 0
    ledger_chain: str = ""
    """SHA-256 of (the chain before, then the line), hex: a ledger altered anywhere does not fit."""
    releases: tuple[_Kept, ...] = ()
    """Oldest first."""


@dataclass(frozen=True, slots=True)
class _State:
    head: _Head
    records: tuple[RoundRecord, ...]
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

    def save(self, model: Model, record: RoundRecord) -> Release:
        """Commit ``model`` as the release of ``record.round``; the round counts once this returns.

        The record is stored with ``model_sha256`` filled in. Raises OvertakenError, and ValueError for a record that
        is not of a later round, did not release or cannot be read back from JSON.
        """
        newest = self._state.release.round if self._state.release else 0
        if record.outcome is not Outcome.RELEASED or record.round <= newest:
            raise ValueError(f"round {record.round} ({record.outcome}) cannot be released after round {newest}")
        with exclusive(self._directory):
            self._refuse_if_overtaken()
            kept = _Kept(round=record.round, sha256="")
            digest = write_file(self._directory / kept.file, lambda sink: write_npz(sink, model))
            record = record.model_copy(update={"model_sha256": digest})
            older = self._readable()[-self._keep :] if self._keep else ()
            self._commit(record, (*older, kept.model_copy(update={"sha256": digest})))
            release = Release(record.round, model, digest, self._state.records)
            self._state = _State(self._state.head, self._state.records, release)
            self._tidy()
        return release

    def note(self, record: RoundRecord) -> None:
        """Commit the record of an attempt that released nothing; raises as ``save`` does."""
        if record.outcome is Outcome.RELEASED:
            raise ValueError(f"round {record.round} was released: its record goes with its model")
        with exclusive(self._directory):
            self._refuse_if_overtaken()
            self._commit(record, self._readable())

    def _readable(self) -> tuple[_Kept, ...]:
        newest = self._state.release.round if self._state.release else 0
        return tuple(kept for kept in self._state.head.releases if kept.round <= newest)

    def _refuse_if_overtaken(self) -> None:
        if _read_head(self._directory) != self._state.head:
            raise OvertakenError(f"{self._directory}: another process has committed here since")

    def _commit(self, record: RoundRecord, releases: tuple[_Kept, ...]) -> None:
        line = _to_line(record)
        before = self._state.head
        extend_file(self._directory / LEDGER, before.ledger_bytes, line)
        head = _Head(
            ledger_bytes=before.ledger_bytes + len(line),
            ledger_chain=_chain(before.ledger_chain, line),
            releases=releases,
        )
        write_file(self._directory / HEAD, lambda sink: _write_head(sink, head))
        records = (*self._state.records, record)
        self._state = _State(head, records, self._state.release)

    def _tidy(self) -> None:
        """Point ``model.npz`` at the newest checkpoint and drop what no longer counts."""
        release, newest = self._state.release, self._directory / NEWEST
        if release is not None:
            file = self._directory / _Kept(round=release.round, sha256="").file
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
    head = _read_head(directory)
    records = _read_ledger(directory / LEDGER, head)
    lost: list[LostCheckpoint] = []
    for kept in reversed(head.releases):
        try:
            model = read_npz(directory / kept.file, kept.sha256)
        except (OSError, ValueError) as error:
            lost.append(LostCheckpoint(kept.round, kept.file, str(error)))
        else:
            return _State(head, records, Release(kept.round, model, kept.sha256, records, tuple(lost)))
    if lost:
        raise StoreCorruptError(directory, f"no checkpoint can be read: {lost[0].reason}")
    return _State(head, records, None)


def _read_head(directory: Path) -> _Head:
    path = directory / HEAD
    try:
        digest, _, text = path.read_bytes().rstrip(b"\n").partition(b" ")
    except FileNotFoundError:
        return _Head()
    if hashlib.sha256(text).hexdigest().encode() != digest:
        raise StoreCorruptError(path, "its checksum does not hold")
    try:
        return _Head.model_validate_json(text)
    except ValidationError as error:
        raise StoreCorruptError(path, f"not a head of this version: {error.errors()[0]['msg']}") from error


def _write_head(sink: Sink, head: _Head) -> None:
    text = head.model_dump_json().encode()
    sink.write(hashlib.sha256(text).hexdigest().encode() + b" " + text + b"\n")


def _read_ledger(path: Path, head: _Head) -> tuple[RoundRecord, ...]:
    content = path.read_bytes()[: head.ledger_bytes] if path.exists() else b""
    lines = content.splitlines(keepends=True)
    chain = ""
    for line in lines:
        chain = _chain(chain, line)
    if chain != head.ledger_chain:
        raise StoreCorruptError(path, "the ledger is not the one that was committed")
    try:
        return tuple(RoundRecord.model_validate_json(line) for line in lines)
    except ValidationError as error:
        raise StoreCorruptError(path, f"not a ledger of this version: {error.errors()[0]['msg']}") from error


def _to_line(record: RoundRecord) -> bytes:
    """One line of the ledger; a record with NaN or infinity in it would be unreadable for ever."""
    line = record.model_dump_json().encode()
    try:
        RoundRecord.model_validate_json(line)
    except ValidationError as error:
        place = ".".join(str(part) for part in error.errors()[0]["loc"])
        raise ValueError(f"the record of round {record.round} does not survive JSON: {place}") from error
    return line + b"\n"


def _chain(before: str, line: bytes) -> str:
    return hashlib.sha256(before.encode() + line).hexdigest()
