"""A component as a process: its log in a file, and gone when the test is, however the test ends."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

# PR_SET_PDEATHSIG fires when the starting *thread* ends: everything is started by this one, which lives as long as the
# interpreter, so that a test may call `resume()` from a thread of its own.
_STARTER = ThreadPoolExecutor(1, thread_name_prefix="harness")
_TESTS = Path(__file__).parents[1]
_WHILE_PARENT_IS = '[ "$PPID" = "$0" ] && exec "$@"'


class ComponentError(Exception):
    """A component ended, or did not come up in time; carries the end of its log."""

    def __init__(self, name: str, what: str, log: Path) -> None:
        tail = "\n".join(log.read_text(errors="replace").splitlines()[-20:]) if log.exists() else ""
        super().__init__(f"{name} {what}; {log} ends with:\n{tail}")
        self.name = name
        self.log = log


class Component:
    """A running program. Its log is appended to ``directory/name.log``."""

    def __init__(self, name: str, command: Sequence[str | Path], directory: Path) -> None:
        self.name = name
        self.log = directory / f"{name}.log"
        self._process = _STARTER.submit(self._start, command).result()

    def _start(self, command: Sequence[str | Path]) -> subprocess.Popen[bytes]:
        # A session of its own, so that Ctrl-C reaches the tests alone, which then stop it in order. The shell looks
        # whether the parent was gone before the signal was asked for.
        guarded = ["setpriv", "--pdeathsig", "KILL", "sh", "-c", _WHILE_PARENT_IS, str(os.getpid()), *command]
        with self.log.open("ab") as out:
            return subprocess.Popen(
                guarded, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT, start_new_session=True
            )

    @property
    def pid(self) -> int:
        """Process id."""
        return self._process.pid

    @property
    def memory(self) -> int:
        """Resident set size, in bytes."""
        status = Path(f"/proc/{self.pid}/status").read_text(encoding="ascii")
        return next(int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("VmRSS:"))

    def wait_until(self, ready: Callable[[], bool], seconds: float) -> None:
        """Wait for ``ready``. Raises ComponentError when it does not come in time or the process ends before."""
        try:
            until(lambda: self._alive() and ready(), seconds)
        except TimeoutError as error:
            raise ComponentError(self.name, f"was not ready in {seconds:g} s", self.log) from error

    def _alive(self) -> bool:
        if (code := self._process.poll()) is not None:
            raise ComponentError(self.name, f"ended with code {code}", self.log)
        return True

    def stop(self, seconds: float = 10) -> None:
        """End the process by SIGTERM, by SIGKILL when it has not gone after ``seconds``; again does nothing."""
        self._process.terminate()
        try:
            self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill()

    def kill(self) -> None:
        """End the process by SIGKILL."""
        self._process.kill()
        self._process.wait()


def program(module: str) -> list[str | Path]:
    """The command of a module of this package, which is on pytest's path only; arguments come after it."""
    start = f"import sys; sys.path.insert(0, {str(_TESTS)!r}); from harness.{module} import main; sys.exit(main())"
    return [sys.executable, "-c", start]


def until(probe: Callable[[], bool], seconds: float, pause: float = 0.05) -> None:
    """Ask ``probe`` until it is true. Raises TimeoutError after ``seconds``."""
    deadline = time.monotonic() + seconds
    waiting = threading.Event()
    while not probe():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{probe} did not come true in {seconds:g} s")
        waiting.wait(pause)
