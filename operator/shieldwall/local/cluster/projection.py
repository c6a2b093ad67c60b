"""Writes files the way the kubelet does, so that watchers of ``..data`` see a whole new set at once.

Source: Kubernetes ``pkg/volume/util/atomic_writer.go``: a directory with the time in its name, a symlink ``..data``
that is swapped by rename, and one symlink for each file.
"""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime
    from pathlib import Path

_DATA: Final = "..data"
_DATA_TMP: Final = "..data_tmp"


@dataclass(frozen=True, slots=True)
class File:
    """The content of one file and who may read it."""

    content: bytes
    mode: int = 0o644


def current(directory: Path) -> dict[str, File]:
    """What ``directory`` holds now; empty when nothing was written yet."""
    data = directory / _DATA
    if not data.is_dir():
        return {}
    return {path.name: File(path.read_bytes(), path.stat().st_mode & 0o777) for path in data.iterdir()}


def write(directory: Path, files: Mapping[str, File], now: datetime, group: int | None) -> bool:
    """Make ``directory`` hold exactly ``files``; says whether anything changed.

    ``files`` are plain names. ``group`` owns what is written, where it is given.
    """
    if (directory / _DATA).is_dir() and current(directory) == dict(files):
        return False
    fresh = _new_directory(directory, now)
    for name, file in files.items():
        _put(fresh / name, file, group)
    _own(fresh, 0o750 if group is not None else 0o700, group)
    _swap(directory, fresh, files)
    return True


def _new_directory(directory: Path, now: datetime) -> Path:
    stamp = now.strftime("..%Y_%m_%d_%H_%M_%S.%f")
    for attempt in range(1000):
        fresh = directory / (stamp if attempt == 0 else f"{stamp}-{attempt}")
        try:
            fresh.mkdir(mode=0o700)
        except FileExistsError:
            continue
        return fresh
    raise FileExistsError(stamp)


def _put(path: Path, file: File, group: int | None) -> None:
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "wb") as stream:
        stream.write(file.content)
    _own(path, file.mode, group)


def _own(path: Path, mode: int, group: int | None) -> None:
    if group is not None:
        os.chown(path, -1, group)
    path.chmod(mode)


def _swap(directory: Path, fresh: Path, files: Mapping[str, File]) -> None:
    data = directory / _DATA
    old = directory / data.readlink() if data.is_symlink() else None
    temporary = directory / _DATA_TMP
    temporary.unlink(missing_ok=True)
    temporary.symlink_to(fresh.name)
    temporary.rename(data)
    for name in files:
        link = directory / name
        if not link.is_symlink():
            link.symlink_to(f"{_DATA}/{name}")
    for link in directory.iterdir():
        if link.is_symlink() and not link.name.startswith("..") and link.name not in files:
            link.unlink()
    if old is not None:
        shutil.rmtree(old, ignore_errors=True)
