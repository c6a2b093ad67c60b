"""What contribution is told by, on the aggregator's volume: earlier global deltas, and marks of earlier updates.

| file | what |
|---|---|
| ``base-<n>.npy`` | the model that was sent out in round n, as a vector |
| ``delta-<n>.npy`` | what it had become since the round before |
| ``marks.npz`` | what clients sent, at a few secret places |

All are keyed by round, so a round that is tried again after a crash finds what it found before. Losing them loses
nothing but evidence.
"""

from __future__ import annotations

import io
import zipfile
from typing import IO, TYPE_CHECKING, Final, cast

import numpy as np

from shieldwall.runtime.contribution.marks import Marks
from shieldwall.runtime.durable import write_file

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from shieldwall.runtime.durable import Sink
    from shieldwall.runtime.model import Vector

DELTAS: Final = 10
"""K."""
_MARKS: Final = "marks.npz"


class Memory:
    """The files in ``directory``, which is made when there is something to keep. ``random(n)`` gives n bytes."""

    def __init__(self, directory: Path, random: Callable[[int], bytes]) -> None:
        self._directory = directory
        self._random = random

    def deltas(self, base: Vector, round_: int) -> tuple[Vector, ...]:
        """The last K global deltas before ``round_``, oldest first, (d,) each and read from their files as needed.

        ``base`` is the model that ``round_`` sent out; it is kept, and what later rounds left is dropped.
        """
        self._directory.mkdir(parents=True, exist_ok=True)
        bases = self._numbered("base")
        before = max((number for number in bases if number < round_), default=None)
        if before is not None:
            old = _mapped(bases[before], base)
            if old is not None:
                _write(self._directory / f"delta-{round_}.npy", base - old)
        if round_ not in bases or _mapped(bases[round_], base) is None:
            _write(self._directory / f"base-{round_}.npy", base)
        self._drop("base", keep=range(round_, round_ + 1))
        self._drop("delta", keep=range(round_ - DELTAS + 1, round_ + 1))
        found = (_mapped(path, base) for _, path in sorted(self._numbered("delta").items()))
        return tuple(delta for delta in found if delta is not None)

    def repeats(self, updates: Mapping[str, Vector], round_: int) -> dict[str, bool]:
        """Whether each update, by node key, was sent by the same key before ``round_``; all of them are remembered."""
        if not updates:
            return {}
        size = next(iter(updates.values())).size
        marks = self._marks(size)
        found = marks.repeats(updates, round_)
        self._keep(marks.after(updates, round_))
        return found

    def _marks(self, size: int) -> Marks:
        """Those on the disk; none yet when they are unreadable or of another model."""
        try:
            with (self._directory / _MARKS).open("rb") as file, np.load(file, allow_pickle=False) as found:
                if int(found["size"]) == size:
                    keys, rounds = (str(key) for key in found["keys"]), (int(number) for number in found["rounds"])
                    return Marks(found["places"], size, tuple(keys), tuple(rounds), found["values"])
        except (OSError, ValueError, KeyError, zipfile.BadZipFile):
            pass
        return Marks.fresh(size, self._random)

    def _keep(self, marks: Marks) -> None:
        self._directory.mkdir(parents=True, exist_ok=True)
        parts = {
            "size": np.array(marks.size),
            "places": marks.places,
            "keys": np.array(marks.keys, dtype=np.str_),
            "rounds": np.array(marks.rounds, dtype=np.int64),
            "values": marks.values if marks.values is not None else np.empty((0, marks.places.size), np.float32),
        }
        archive = io.BytesIO()  # its directory is written last and points back: a sink takes things front to back
        np.savez(archive, allow_pickle=False, **parts)
        write_file(self._directory / _MARKS, lambda sink: _write_all(sink, archive.getbuffer()))

    def _numbered(self, kind: str) -> dict[int, Path]:
        found = {path.stem.removeprefix(f"{kind}-"): path for path in self._directory.glob(f"{kind}-*.npy")}
        return {int(number): path for number, path in found.items() if number.isdecimal()}

    def _drop(self, kind: str, keep: range) -> None:
        for number, path in self._numbered(kind).items():
            if number not in keep:
                path.unlink(missing_ok=True)


def _write_all(sink: Sink, data: memoryview) -> None:
    sink.write(data)


def _write(path: Path, vector: Vector) -> None:
    write_file(path, lambda sink: np.lib.format.write_array(cast("IO[bytes]", sink), vector, allow_pickle=False))


def _mapped(path: Path, like: Vector) -> Vector | None:
    """The vector in a file, not read into memory; None when it is not one like ``like``."""
    try:
        found = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError):
        return None
    return found if found.shape == like.shape and found.dtype == like.dtype else None
