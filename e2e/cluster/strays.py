"""Clusters of tests: each process of tests has a folder for its own; who comes later ends what a killed one left."""

from __future__ import annotations

import fcntl
import shutil
from contextlib import contextmanager
from pathlib import Path
from tempfile import mkdtemp
from typing import TYPE_CHECKING, Final

from .cluster import DEFAULT, Cluster

if TYPE_CHECKING:
    from collections.abc import Iterator

TESTS: Final = "tests"
"""The folder of such folders, in that of a cluster, whose ``down`` looks there."""


@contextmanager
def room(directory: Path = DEFAULT) -> Iterator[Path]:
    """A folder for the clusters of this process, which are ended with the context. Their logs stay until the next.

    Raises what ``Cluster.down`` raises.
    """
    rooms = directory / TESTS
    rooms.mkdir(parents=True, exist_ok=True)
    with _alone(rooms):
        for left in _abandoned(rooms):
            _empty(left)
            shutil.rmtree(left)
        own = Path(mkdtemp(dir=rooms))
        owner = _owner(own).open("w")
        fcntl.flock(owner, fcntl.LOCK_EX)
    with owner:
        try:
            yield own
        finally:
            _empty(own)


def end(directory: Path) -> None:
    """End the clusters of processes that are gone; their logs stay. Raises what ``Cluster.down`` raises."""
    rooms = directory / TESTS
    if rooms.exists():
        with _alone(rooms):
            for left in _abandoned(rooms):
                _empty(left)


def _empty(own: Path) -> None:
    for each in own.iterdir():
        if each.is_dir():
            Cluster(each).down()


def _abandoned(rooms: Path) -> Iterator[Path]:
    """Those whose lock nobody holds: the kernel unlocks it when a process ends, however it does."""
    for own in [each for each in rooms.iterdir() if each.is_dir()]:
        with _owner(own).open("w") as owner:
            try:
                fcntl.flock(owner, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                continue
            yield own


@contextmanager
def _alone(rooms: Path) -> Iterator[None]:
    with (rooms / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _owner(own: Path) -> Path:
    return own / "owner"
