"""Files that must survive a crash at any moment: replaced whole, or appended to line by line."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def replace_text(path: Path, text: str) -> None:
    """Write ``path`` so that after a crash it holds the old text or the new one, never a part."""
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(f".{path.name}.new")
    with fresh.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)
    _sync_directory(path.parent)


def append_line(path: Path, line: str) -> None:
    """Append ``line`` (without a line break of its own) and return when it is on the disk."""
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = not path.exists()
    with path.open("a", encoding="utf-8") as file:
        file.write(line + "\n")
        file.flush()
        os.fsync(file.fileno())
    if fresh:
        _sync_directory(path.parent)


def read_lines(path: Path) -> list[str]:
    """The complete lines of ``path``. A last line torn by a crash was never acknowledged: it is cut off."""
    with suppress(FileNotFoundError):
        data = path.read_bytes()
        whole = data[: data.rfind(b"\n") + 1]
        if len(whole) < len(data):
            os.truncate(path, len(whole))
        return whole.decode().splitlines()
    return []


def read_text(path: Path) -> str | None:
    """The file's text, or None if there is none."""
    with suppress(FileNotFoundError):
        return path.read_text(encoding="utf-8")
    return None


def remove(path: Path) -> None:
    """Remove ``path`` if it is there."""
    path.unlink(missing_ok=True)
    if path.parent.exists():
        _sync_directory(path.parent)


def _sync_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
