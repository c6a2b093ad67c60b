"""When an image need not be built again: nothing that it is made of has changed."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path


def fingerprint(root: Path, inputs: Iterable[str], *more: str) -> str:
    """SHA-256 over the names, modes and bytes of the files of ``inputs`` below ``root``, and over ``more``."""
    total = hashlib.sha256()
    for path in sorted(set(_files(root, inputs))):
        parts = (str(path.relative_to(root)), oct(path.stat().st_mode & 0o777), hashlib.sha256(path.read_bytes()))
        total.update(f"{parts[0]}\0{parts[1]}\0{parts[2].hexdigest()}\0".encode())
    for word in more:
        total.update(f"{word}\0".encode())
    return total.hexdigest()


def _files(root: Path, inputs: Iterable[str]) -> Iterator[Path]:
    for each in inputs:
        path = root / each
        if path.is_file():
            yield path
            continue
        if not path.is_dir():
            raise FileNotFoundError(path)
        yield from (
            file for file in path.rglob("*") if file.is_file() and "__pycache__" not in file.relative_to(path).parts
        )
