"""What counts of a store: the file ``head``, whose rename commits."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Final, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from shieldwall.runtime.chained import Chained, lines_in
from shieldwall.runtime.durable import write_file

if TYPE_CHECKING:
    from pathlib import Path

    from shieldwall.runtime.durable import Sink

LEDGER: Final = "ledger.jsonl"
PRIVACY: Final = "privacy.jsonl"
HEAD: Final = "head"


class StoreCorruptError(RuntimeError):
    """The volume does not hold what was committed, and there is nothing older to fall back to; people must look.

    Starting over instead would forget what was released, and with it the privacy that was spent.
    """

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(f"{path}: {reason}")
        self.path = path
        self.reason = reason


class Kept(BaseModel):
    """A checkpoint that counts."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    round: int
    sha256: str

    @property
    def file(self) -> str:
        """Its name."""
        return f"round-{self.round}.npz"


class Head(BaseModel):
    """Which checkpoints, and how much of both ledgers."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    version: Literal[1] = 1
    ledger_bytes: int = 0
    ledger_chain: str = ""
    privacy_bytes: int = 0
    """0 in a head from before there was privacy."""
    privacy_chain: str = ""
    releases: tuple[Kept, ...] = ()
    """Oldest first."""

    @property
    def ledger(self) -> Chained:
        """Of RoundRecords."""
        return Chained(self.ledger_bytes, self.ledger_chain)

    @property
    def privacy(self) -> Chained:
        """Of Spends."""
        return Chained(self.privacy_bytes, self.privacy_chain)


def read_head(directory: Path) -> Head:
    """The one that was committed last, an empty one if there was none; raises StoreCorruptError."""
    path = directory / HEAD
    try:
        digest, _, text = path.read_bytes().rstrip(b"\n").partition(b" ")
    except FileNotFoundError:
        _require_young(directory)
        return Head()
    if hashlib.sha256(text).hexdigest().encode() != digest:
        raise StoreCorruptError(path, "its checksum does not hold")
    try:
        return Head.model_validate_json(text)
    except ValidationError as error:
        raise StoreCorruptError(path, f"not a head of this version: {error.errors()[0]['msg']}") from error


def _require_young(directory: Path) -> None:
    """A crash in the first commit leaves one line and no head; more lines without one were once committed."""
    for name in (LEDGER, PRIVACY):
        if lines_in(directory / name) > 1:
            raise StoreCorruptError(directory / HEAD, f"it is missing, and {name} has lines that were committed")


def write_head(directory: Path, head: Head) -> None:
    """Commit it; on disk when this returns."""
    write_file(directory / HEAD, lambda sink: _write(sink, head))


def _write(sink: Sink, head: Head) -> None:
    text = head.model_dump_json().encode()
    sink.write(hashlib.sha256(text).hexdigest().encode() + b" " + text + b"\n")
