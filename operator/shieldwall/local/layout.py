"""Where a run keeps its files."""

from __future__ import annotations

import shutil
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from shieldwall.local.cluster.volumes import Directories

if TYPE_CHECKING:
    from collections.abc import Iterator

_LONGEST_SCRATCH: Final = 50
"""A Unix socket's path has at most 107 bytes, and the containers' part of it about 50."""
_MARKER: Final = ".shieldwall"
_SHORT: Final = "/tmp"  # noqa: S108  # a fresh directory is made in it


@dataclass(frozen=True, slots=True)
class Layout:
    """The directories of one run."""

    results: Path
    """What stays: the report, logs and the model."""
    state: Path
    """Secrets, volumes and claims: kept only when asked for."""
    scratch: Path
    """Containers' root directories."""

    @property
    def logs(self) -> Path:
        """``<logs>/<pod>/<container>.log``."""
        return self.results / "logs"

    @property
    def model(self) -> Path:
        """A copy of the last released model."""
        return self.results / "model"

    @property
    def secrets(self) -> Path:
        """The desk's shelves."""
        return self.state / "secrets"

    def directories(self, app: Path) -> Directories:
        """Where volumes lie; the user's own data is looked for in ``data`` beside the training's file."""
        return Directories(self.state / "pods", self.state / "claims", app / "data")


class StrangeDirectoryError(ValueError):
    """``--keep`` names a directory that holds something, and no run of Shieldwall made it."""

    def __init__(self, directory: Path) -> None:
        super().__init__(f"{directory} is not empty and was not made by shieldwall; name a new or an empty directory")
        self.directory = directory


def claim(directory: Path) -> None:
    """Make ``directory`` one of ours, or see that it is; raises StrangeDirectoryError.

    A run clears parts of the directory that it goes on in, so it must never be somebody else's.
    """
    marker = directory / _MARKER
    directory.mkdir(mode=0o711, parents=True, exist_ok=True)
    if not marker.exists():
        if any(directory.iterdir()):
            raise StrangeDirectoryError(directory)
        marker.write_text("A training that shieldwall keeps here: secrets, volumes, logs, model.\n", encoding="utf-8")


@contextmanager
def laid_out(results: Path, keep: Path | None) -> Iterator[Layout]:
    """Make the directories; state and scratch go away at the end, ``keep`` stays as state.

    Raises StrangeDirectoryError.
    """
    if keep is not None:
        claim(keep)
    wanted = tempfile.gettempdir()
    scratch = Path(tempfile.mkdtemp(prefix="sw-", dir=wanted if len(wanted) <= _LONGEST_SCRATCH else _SHORT))
    try:
        scratch.chmod(0o711)
        layout = Layout(results, keep or scratch / "state", scratch / "r")
        for directory in (layout.results, layout.logs):
            directory.mkdir(parents=True, exist_ok=True)
        for directory in (layout.state, layout.state / "pods", layout.state / "claims", layout.scratch):
            directory.mkdir(mode=0o711, parents=True, exist_ok=True)
        shutil.rmtree(layout.state / "pods", ignore_errors=True)
        (layout.state / "pods").mkdir(mode=0o711)
        yield layout
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
