"""Secrets on disk, as a cluster keeps them: a directory for each, files by key, readable for their owner only."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


class SecretStore:
    """The Secrets of one run below ``directory``."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        directory.chmod(0o700)

    def names(self) -> list[str]:
        """The Secrets that exist, sorted."""
        return sorted(path.name for path in self._directory.iterdir() if not path.name.startswith("."))

    def path(self, name: str) -> Path:
        """The directory of a Secret."""
        return self._directory / name

    def read(self, name: str) -> dict[str, bytes] | None:
        """The content of one Secret, or None."""
        place = self._directory / name
        if not place.is_dir():
            return None
        return {path.name: path.read_bytes() for path in sorted(place.iterdir())}

    def write(self, name: str, content: Mapping[str, bytes]) -> None:
        """Replace a Secret; a reader (or a crash) never leaves a half of it."""
        fresh, old = self._directory / f".{name}.new", self._directory / f".{name}.old"
        for leftover in (fresh, old):
            shutil.rmtree(leftover, ignore_errors=True)
        fresh.mkdir(mode=0o700)
        for key, value in content.items():
            handle = os.open(fresh / key, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(handle, "wb") as stream:
                stream.write(value)
        place = self._directory / name
        if place.is_dir():
            place.rename(old)
        fresh.rename(place)
        shutil.rmtree(old, ignore_errors=True)

    def all(self) -> dict[str, dict[str, bytes]]:
        """Every Secret."""
        return {name: content for name in self.names() if (content := self.read(name)) is not None}
