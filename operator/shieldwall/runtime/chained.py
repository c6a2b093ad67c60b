"""A file of JSON lines of which so many bytes count, and whose hash chain tells if any of them was altered or cut."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from pydantic import BaseModel, ValidationError

from shieldwall.runtime.durable import extend_file

if TYPE_CHECKING:
    from pathlib import Path

Line = TypeVar("Line", bound=BaseModel)


class BrokenChainError(ValueError):
    """The file does not hold what was committed."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(f"{path}: {reason}")
        self.path = path
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Chained:
    """How much of a file counts: all lines but those that a crash left behind."""

    size: int = 0
    """Bytes."""
    chain: str = ""
    """SHA-256 of (the chain before, then the line), hex."""

    def extended(self, path: Path, line: BaseModel | None) -> Chained:
        """With ``line``, if there is one, on disk after what counts; raises ValueError where JSON cannot carry it."""
        if line is None:
            return self
        text = _to_line(line)
        extend_file(path, self.size, text)
        return Chained(self.size + len(text), _link(self.chain, text))

    def read(self, path: Path, kind: type[Line]) -> tuple[Line, ...]:
        """The lines that count; raises BrokenChainError."""
        content = path.read_bytes()[: self.size] if path.exists() else b""
        lines = content.splitlines(keepends=True)
        chain = ""
        for line in lines:
            chain = _link(chain, line)
        if chain != self.chain:
            raise BrokenChainError(path, "the ledger is not the one that was committed")
        try:
            return tuple(kind.model_validate_json(line) for line in lines)
        except ValidationError as error:
            raise BrokenChainError(path, f"not a ledger of this version: {error.errors()[0]['msg']}") from error


def lines_in(path: Path) -> int:
    """How many lines there are, committed or not; 0 where there is no file."""
    return path.read_bytes().count(b"\n") if path.exists() else 0


def _to_line(line: BaseModel) -> bytes:
    """A line with NaN or infinity in it would be unreadable for ever."""
    text = line.model_dump_json().encode()
    try:
        type(line).model_validate_json(text)
    except ValidationError as error:
        place = ".".join(str(part) for part in error.errors()[0]["loc"])
        raise ValueError(f"{type(line).__name__} does not survive JSON: {place}") from error
    return text + b"\n"


def _link(before: str, line: bytes) -> str:
    return hashlib.sha256(before.encode() + line).hexdigest()
