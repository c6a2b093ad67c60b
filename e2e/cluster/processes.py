"""Daemons: they outlive the command that starts them, and are found again by process id *and* time of start."""

from __future__ import annotations

import json
import os
import signal
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

from harness.process import ComponentError, until

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

_BOOT: Final = Path("/proc/sys/kernel/random/boot_id")


@dataclass(frozen=True)
class Process:
    """One process and no other: process ids are used again, with another start, or in another boot."""

    pid: int
    started: int
    """Clock ticks since boot."""
    boot: str

    @classmethod
    def of(cls, pid: int) -> Self:
        """The process that has this id now. Raises ProcessLookupError."""
        state = _stat(pid)
        if state is None:
            raise ProcessLookupError(f"there is no process {pid}")
        return cls(pid, state[1], _BOOT.read_text(encoding="ascii").strip())

    @property
    def alive(self) -> bool:
        """Whether it runs; a zombie does not."""
        state = _stat(self.pid)
        same = state is not None and state[1] == self.started and self.boot == _BOOT.read_text(encoding="ascii").strip()
        return same and state is not None and state[0] not in "ZX"

    def kill(self, seconds: float = 20) -> None:
        """End it by SIGKILL and wait; does nothing when it has gone. Raises TimeoutError."""
        with suppress(ProcessLookupError):
            handle = os.pidfd_open(self.pid)  # from here on the id means one process
            try:
                if self.alive:
                    signal.pidfd_send_signal(handle, signal.SIGKILL)
            finally:
                os.close(handle)
        until(lambda: not self.alive, seconds, 0.02)


@dataclass(frozen=True)
class Records:
    """Which process has which name, in a directory."""

    directory: Path

    def save(self, name: str, process: Process) -> None:
        """Whole or not at all."""
        path = self.directory / f"{name}.json"
        path.with_suffix(".new").write_text(json.dumps(asdict(process)), encoding="ascii")
        path.with_suffix(".new").rename(path)

    def load(self, name: str) -> Process | None:
        """None when there was none of that name."""
        with suppress(FileNotFoundError):
            return Process(**json.loads((self.directory / f"{name}.json").read_text(encoding="ascii")))
        return None

    def names(self) -> list[str]:
        """Of all that were started."""
        return sorted(path.stem for path in self.directory.glob("*.json"))


def start(command: Sequence[str | Path], log: Path, environment: Mapping[str, str], given: int | None = None) -> int:
    """Start ``command`` in a session of its own, its output appended to ``log``; returns its id.

    It gets no open file of ours, nor one that we were given: a lock of flock(1) is held while any heir lives. But
    ``given``, a file descriptor, is its standard input, which is empty otherwise.
    """
    words = [str(word) for word in command]
    files = (
        (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0) if given is None else (os.POSIX_SPAWN_DUP2, given, 0),
        (os.POSIX_SPAWN_OPEN, 1, str(log), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644),
        (os.POSIX_SPAWN_DUP2, 1, 2),
        *((os.POSIX_SPAWN_CLOSE, each) for each in _heritable()),
    )
    return os.posix_spawnp(words[0], words, environment, file_actions=files, setsid=True)


def only_child(parent: int, name: str, log: Path, seconds: float = 10) -> Process:
    """What ``parent``, which forks once and waits, has started. Raises ComponentError."""
    children = Path(f"/proc/{parent}/task/{parent}/children")
    waiting = Process.of(parent)

    def found() -> bool:
        if not waiting.alive:
            raise ComponentError(name, "ended at once", log)
        return bool(children.read_text(encoding="ascii").split())

    try:
        until(found, seconds, 0.01)
        return Process.of(int(children.read_text(encoding="ascii").split()[0]))
    except (ProcessLookupError, FileNotFoundError, IndexError) as error:
        raise ComponentError(name, "ended at once", log) from error


def _heritable() -> Iterator[int]:
    """Open files, but for the first three, that a child would get."""
    for each in sorted(int(path.name) for path in Path("/proc/self/fd").iterdir()):
        with suppress(OSError):  # what listed them has closed its own
            if each > 2 and os.get_inheritable(each):  # noqa: PLR2004  # standard input, output and error
                yield each


def _stat(pid: int) -> tuple[str, int] | None:
    """State and start of a process, proc_pid_stat(5) fields 3 and 22."""
    try:
        content = Path(f"/proc/{pid}/stat").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return None
    fields = content.rpartition(b")")[2].split()  # a program's name may hold blanks and brackets
    return fields[0].decode(), int(fields[19])
