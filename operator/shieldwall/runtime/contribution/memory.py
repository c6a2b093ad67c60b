"""What contribution is told by, on the aggregator's volume: earlier global deltas, and marks of earlier updates.

| file | what |
|---|---|
| ``base-<n>.npy`` | the model that was sent out in round n, as a vector |
| ``delta-<n>.npy`` | what it had become since the round before |
| ``marks.npz`` | sketches of what clients sent and of what the model became |

All are keyed by round, so a round that is tried again after a crash finds what it found before. Losing them loses
nothing but evidence: where the volume does not take them, the round goes on, and what is kept makes room for what the
training cannot do without.
"""

from __future__ import annotations

import errno
import io
import shutil
import zipfile
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import numpy as np

from shieldwall.runtime.contribution.marks import Marks
from shieldwall.runtime.contribution.sketch import sketches
from shieldwall.runtime.contribution.vectors import blocks, mapped, write_vector
from shieldwall.runtime.durable import TEMPORARY_SUFFIX, write_file

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from shieldwall.runtime.durable import Sink
    from shieldwall.runtime.model import Model, Vector

DELTAS: Final = 10
"""K."""
SPARE_MODELS: Final = 2
"""Room that is left for checkpoints, in models."""
_MARKS: Final = "marks.npz"


@dataclass(frozen=True, slots=True)
class Recalled:
    """What earlier rounds say of one round's updates."""

    repeats: Mapping[str, bool] = field(default_factory=dict)
    """Whether each was sent by the same node key before."""
    replays: Mapping[str, bool] = field(default_factory=dict)
    """Whether each is put together from what the global model did before."""
    moving: int = 0
    """Coordinates that the median update moves."""


class Memory:
    """The files in ``directory``, which is made when there is something to keep.

    ``random(n)`` gives n bytes; ``log`` hears, once, that the volume does not take all of the evidence;
    ``free(directory)`` is how many bytes the volume has left.
    """

    def __init__(
        self,
        directory: Path,
        random: Callable[[int], bytes],
        log: Callable[[str], None] = lambda _: None,
        free: Callable[[Path], int] = lambda directory: shutil.disk_usage(directory).free,
    ) -> None:
        self._directory = directory
        self._random = random
        self._log = log
        self._free = free
        self._told: set[str] = set()

    def deltas(self, base: Model, round_: int) -> dict[int, Vector]:
        """The last K global deltas before ``round_``, oldest first, (d,) each and read from their files as needed.

        By the round that sent out what the delta led to. ``base`` is the model that ``round_`` sent out; it is kept,
        and what later rounds left is dropped. Takes the memory of a few blocks.
        """
        try:
            self._remember(base, round_)
        except OSError as error:
            self._give_up(error)
        schema = base.schema
        found = {
            number: mapped(path, schema.size, schema.vector_dtype)
            for number, path in sorted(self._numbered("delta").items())
        }
        return {number: delta for number, delta in found.items() if delta is not None}

    def recall(
        self, updates: Mapping[str, Vector], round_: int, rounding: float, step: Vector | None = None, threads: int = 1
    ) -> Recalled:
        """What earlier rounds say of each update, (d,) by node key; all of them are remembered.

        ``rounding`` is ``rounding_of`` the model which ``round_`` sent out, and ``step`` the delta that led to it.
        """
        if not updates:
            return Recalled()
        size = next(iter(updates.values())).size
        marks = self._marks(size)
        found = sketches([*updates.values(), *(() if step is None else (step,))], marks.seed, threads)
        rows = dict(zip(updates, found.values, strict=False))
        moving = int(np.median(found.moving[: len(updates)]))
        marks = marks.after_step(None if step is None else found.values[-1], round_)
        replays = dict(zip(updates, marks.replays(list(rows.values()), moving), strict=True))
        recalled = Recalled(marks.repeats(rows, round_, rounding), replays, moving)
        try:
            self._keep(marks.after(rows, round_))
        except OSError as error:
            self._give_up(error)
        return recalled

    def _remember(self, base: Model, round_: int) -> None:
        self._directory.mkdir(parents=True, exist_ok=True)
        schema = base.schema
        size, dtype = schema.size, schema.vector_dtype
        self._drop("delta", keep=range(round_ - DELTAS + 1, round_ + 1))
        bases = self._numbered("base")
        before = max((number for number in bases if number < round_), default=None)
        old = None if before is None else mapped(bases[before], size, dtype)
        known = round_ in bases and mapped(bases[round_], size, dtype) is not None
        self._make_room(((old is not None) + (not known) + SPARE_MODELS) * size * dtype.itemsize)
        if old is not None:
            steps = (np.subtract(block, old[place], dtype=dtype) for place, block in blocks(base))
            with np.errstate(over="ignore"):
                write_vector(self._directory / f"delta-{round_}.npy", size, dtype, steps)
        if not known:
            own = (block for _, block in blocks(base))
            write_vector(self._directory / f"base-{round_}.npy", size, dtype, own)
        self._drop("base", keep=range(round_, round_ + 1))

    def _make_room(self, needed: int) -> None:
        """Drop the oldest deltas until the volume has ``needed`` bytes; raises OSError when it never does."""
        for _, path in sorted(self._numbered("delta").items()):
            if self._free(self._directory) >= needed:
                return
            path.unlink(missing_ok=True)
            self._tell("fewer", "the volume has no room for ten earlier steps of the model, fewer are compared with")
        if self._free(self._directory) < needed:
            raise OSError(errno.ENOSPC, "the volume has no room for it beside the checkpoints")

    def _give_up(self, error: OSError) -> None:
        """Leave the room to the checkpoints, and say so once."""
        for path in (*self._directory.glob("*.npy"), *self._directory.glob(f"*{TEMPORARY_SUFFIX}")):
            path.unlink(missing_ok=True)
        self._tell("lost", f"evidence of who contributes is lost, the training goes on: {error}")

    def _tell(self, kind: str, what: str) -> None:
        if kind not in self._told:
            self._log(what)
        self._told.add(kind)

    def _marks(self, size: int) -> Marks:
        """Those on the disk; none yet when they are unreadable or of another model."""
        try:
            with (self._directory / _MARKS).open("rb") as file, np.load(file, allow_pickle=False) as found:
                if int(found["size"]) == size:
                    return Marks(
                        found["seed"].tobytes(),
                        size,
                        tuple(str(key) for key in found["keys"]),
                        tuple(int(number) for number in found["rounds"]),
                        found["values"],
                        tuple(int(number) for number in found["step_rounds"]),
                        found["steps"],
                    )
        except (OSError, ValueError, KeyError, zipfile.BadZipFile):
            pass
        return Marks.fresh(size, self._random)

    def _keep(self, marks: Marks) -> None:
        self._directory.mkdir(parents=True, exist_ok=True)
        parts = {
            "seed": np.frombuffer(marks.seed, np.uint8),
            "size": np.array(marks.size),
            "keys": np.array(marks.keys, dtype=np.str_),
            "rounds": np.array(marks.rounds, dtype=np.int64),
            "values": np.empty(0, np.float32) if marks.values is None else marks.values,
            "step_rounds": np.array(marks.step_rounds, dtype=np.int64),
            "steps": np.empty(0, np.float32) if marks.steps is None else marks.steps,
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
