"""Starts programs so that they can be ended with everything they started, and ends them.

Every program leads a session of its own. What leaves that session and loses its parent is handed to this process
(``PR_SET_CHILD_SUBREAPER``, prctl(2)) and ended as a stray. Programs get SIGKILL when this process dies.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
import signal
import subprocess
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

_PR_SET_PDEATHSIG: Final = 1
_PR_SET_CHILD_SUBREAPER: Final = 36
_SWEEP_SECONDS: Final = 0.05
_KILL_SWEEPS: Final = 200
_REAP_SECONDS: Final = 0.2
_libc = ctypes.CDLL(None, use_errno=True)


def adopt_orphans() -> None:
    """Become the parent of every descendant whose own parent dies."""
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)


def die_with_parent(number: signal.Signals = signal.SIGKILL) -> None:
    """Have the kernel send ``number`` to this process when its parent dies."""
    _prctl(_PR_SET_PDEATHSIG, number)


def _prctl(option: int, value: int) -> None:
    if _libc.prctl(option, value, 0, 0, 0) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


@dataclass(frozen=True, slots=True)
class Launch:
    """All that the start of one program needs."""

    argv: tuple[str, ...]
    env: Mapping[str, str]
    cwd: Path
    log: Path
    user: int | None = None
    """Also its primary group; None: the caller's."""
    groups: tuple[int, ...] = ()


class Program:
    """A program that was started, until it was ended."""

    def __init__(self, popen: subprocess.Popen[bytes], started: float) -> None:
        self._popen = popen
        self.pid = popen.pid
        self.started = started
        """Monotonic seconds."""

    async def wait(self) -> int:
        """The exit code, or −n for an end by signal n."""
        loop = asyncio.get_running_loop()
        if self._popen.poll() is None:
            ended = asyncio.Event()
            watch = os.pidfd_open(self.pid)
            loop.add_reader(watch, ended.set)
            try:
                await ended.wait()
            finally:
                loop.remove_reader(watch)
                os.close(watch)
        return self._popen.wait()

    async def stop(self, grace: float) -> int:
        """SIGTERM to the session, SIGKILL to what is left of it after ``grace`` seconds; the exit code."""
        self._signal_all(signal.SIGTERM)
        try:
            async with asyncio.timeout(grace):
                await self.wait()
        except TimeoutError:
            pass
        finally:
            self.kill()
        return self._popen.wait()

    def kill(self) -> None:
        """SIGKILL to everything in the session, again until nobody is left (who forks meanwhile is seen next time)."""
        for _ in range(_KILL_SWEEPS):
            if not self._signal_all(signal.SIGKILL):
                break
            with suppress(subprocess.TimeoutExpired):
                self._popen.wait(_REAP_SECONDS)
        self._popen.poll()  # what ended by itself is still to be reaped

    def _signal_all(self, number: signal.Signals) -> bool:
        members = [one for one in snapshot() if one.session == self.pid and one.alive]
        for member in members:
            with suppress(ProcessLookupError):
                os.kill(member.pid, number)
        return bool(members)


@dataclass(frozen=True, slots=True)
class Entry:
    """A line of the process table."""

    pid: int
    state: str
    parent: int
    session: int

    @property
    def alive(self) -> bool:
        """Not a zombie."""
        return self.state not in "ZX"


def parse_stat(text: str) -> Entry:
    """Read ``/proc/<pid>/stat`` (proc(5)); the second field may hold spaces and brackets."""
    head, _, tail = text.rpartition(")")
    words = tail.split()
    return Entry(pid=int(head.split(" ", 1)[0]), state=words[0], parent=int(words[1]), session=int(words[3]))


def snapshot() -> list[Entry]:
    """The process table."""
    entries = []
    for path in Path("/proc").iterdir():
        if path.name.isdigit():
            with suppress(OSError):
                entries.append(parse_stat((path / "stat").read_text(encoding="utf-8", errors="replace")))
    return entries


def descendants(root: int, table: Iterable[Entry]) -> list[Entry]:
    """Everything below ``root``, parents before children."""
    children: dict[int, list[Entry]] = {}
    for entry in table:
        children.setdefault(entry.parent, []).append(entry)
    found: list[Entry] = list(children.get(root, ()))
    for entry in found:
        found.extend(children.get(entry.pid, ()))
    return found


def strays(own: int, known: Iterable[int], table: Sequence[Entry]) -> list[Entry]:
    """Orphans that were handed to ``own``: its children that it did not start (``known``)."""
    expected = set(known)
    return [entry for entry in table if entry.parent == own and entry.pid not in expected]


def end_descendants(deadline: float) -> None:
    """Kill and reap everything below this process, until nothing is left or the monotonic ``deadline`` passes."""
    while time.monotonic() < deadline:
        below = descendants(os.getpid(), snapshot())
        if not below:
            return
        for entry in below:
            with suppress(ProcessLookupError):
                os.kill(entry.pid, signal.SIGKILL)
        with suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        time.sleep(_SWEEP_SECONDS)


class Programs:
    """The programs that this process started, and the strays they left behind.

    Children that were there before are somebody else's, and never strays.
    """

    def __init__(self) -> None:
        own = os.getpid()
        self._known = {entry.pid for entry in snapshot() if entry.parent == own}

    def start(self, launch: Launch) -> Program:
        """Start a program in a session of its own, its output appended to its log; raises OSError."""
        with launch.log.open("ab") as log:
            popen = subprocess.Popen(  # noqa: S603  # the commands come from the plan
                launch.argv,
                env=dict(launch.env),
                cwd=launch.cwd,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                user=launch.user,
                group=launch.user,
                extra_groups=launch.groups if launch.user is not None else None,
                umask=0o007,
                # The kernel forgets the setting when users change, so it is made last. This process has no threads.
                preexec_fn=die_with_parent,  # noqa: PLW1509
            )
        self._known.add(popen.pid)
        return Program(popen, time.monotonic())

    def end_strays(self) -> int:
        """Kill and reap orphans that were handed to this process, with all below them; how many there were."""
        table = snapshot()
        found = strays(os.getpid(), self._known, table)
        for stray in found:
            for entry in (stray, *descendants(stray.pid, table)):
                with suppress(ProcessLookupError):
                    os.kill(entry.pid, signal.SIGKILL)
            with suppress(ChildProcessError):
                os.waitpid(stray.pid, os.WNOHANG)
        return len(found)
