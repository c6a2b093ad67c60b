"""Files that are whole after a crash: each function returns when its effect would survive a power cut.

A rename is atomic, yet neither it nor the bytes behind it are on disk before the file *and* its directory are synced.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

MODE: Final = 0o640
"""A model says something about the data it was trained on: nothing for everybody."""
TEMPORARY_SUFFIX: Final = ".tmp"


class Sink:
    """Where a file's content is written to, front to back; hashes what passes."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._digest = hashlib.sha256()

    def write(self, data: bytes | memoryview, /) -> int:
        """Write all of ``data``; returns its length in bytes."""
        self._digest.update(data)
        _write_all(self._descriptor, data)
        return len(data)

    def flush(self) -> None:
        """Nothing is held back here; writers of archives ask all the same."""

    @property
    def sha256(self) -> str:
        """Hex digest of all that was written."""
        return self._digest.hexdigest()


def write_file(path: Path, fill: Callable[[Sink], None]) -> str:
    """Put what ``fill`` writes at ``path``, whole or not at all; returns its sha256, hex."""
    temporary = path.with_name(path.name + TEMPORARY_SUFFIX)
    with _opened(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC) as descriptor:
        sink = Sink(descriptor)
        fill(sink)
        os.fsync(descriptor)
    temporary.replace(path)
    _sync_directory(path.parent)
    return sink.sha256


def extend_file(path: Path, start: int, data: bytes) -> None:
    """Make ``data`` the end of the file from byte ``start`` on; what stood there, of a broken attempt, is dropped."""
    with _opened(path, os.O_WRONLY | os.O_CREAT) as descriptor:
        os.ftruncate(descriptor, start)
        os.lseek(descriptor, start, os.SEEK_SET)
        _write_all(descriptor, data)
        os.fsync(descriptor)
    _sync_directory(path.parent)


def alias_file(source: Path, path: Path) -> None:
    """Make ``path`` another name of ``source``, or a copy where the file system has no hard links."""
    temporary = path.with_name(path.name + TEMPORARY_SUFFIX)
    temporary.unlink(missing_ok=True)
    try:
        os.link(source, temporary)
    except OSError:
        write_file(path, lambda sink: _copy(source, sink))
        return
    temporary.replace(path)
    _sync_directory(path.parent)


@contextmanager
def exclusive(directory: Path) -> Iterator[None]:
    """Wait for, and hold, the lock on ``directory`` among those who ask for it; a dead holder's lock is gone."""
    with _opened(directory, os.O_RDONLY | os.O_DIRECTORY) as descriptor:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield


@contextmanager
def _opened(path: Path, flags: int) -> Iterator[int]:
    descriptor = os.open(path, flags | os.O_CLOEXEC, MODE)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _write_all(descriptor: int, data: bytes | memoryview) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(descriptor, rest) :]


def _sync_directory(directory: Path) -> None:
    with _opened(directory, os.O_RDONLY | os.O_DIRECTORY) as descriptor:
        os.fsync(descriptor)


def _copy(source: Path, sink: Sink) -> None:
    with source.open("rb") as file:
        while chunk := file.read(1 << 20):
            sink.write(chunk)
