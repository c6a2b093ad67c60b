"""Programs that are started here and do not outlive us, whichever thread has started them."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
from contextlib import suppress
from typing import IO, TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_SECONDS: Final = 10
_DIES_WITH_US: Final = ("setpriv", "--pdeathsig", "TERM")


class StoppedError(Exception):
    """Nothing is started any more, since what runs was stopped."""


class Children:
    """Those that run. Threads may share it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running: set[subprocess.Popen[str]] = set()
        self._stopped = False

    def run(
        self,
        command: Sequence[str],
        environment: Mapping[str, str] | None = None,
        output: IO[bytes] | int = subprocess.PIPE,
    ) -> subprocess.CompletedProcess[str]:
        """Run it to its end, ``environment`` set besides ours, ``output`` for all that it says. Raises StoppedError."""
        error = subprocess.PIPE if output == subprocess.PIPE else subprocess.STDOUT
        with self._lock:
            if self._stopped:
                raise StoppedError
            process = subprocess.Popen(  # noqa: S603  # words of ours
                [*_DIES_WITH_US, *command],
                env=os.environ | dict(environment or {}),
                stdin=subprocess.DEVNULL, stdout=output, stderr=error, text=True,
                process_group=0,  # what it has started is stopped with it
            )  # fmt: skip
            self._running.add(process)
        with process:
            try:
                said = process.communicate()
            finally:
                _end([process])
                with self._lock:
                    self._running.discard(process)
        return subprocess.CompletedProcess(list(command), process.returncode, *said)

    def stop(self) -> None:
        """End all that runs, by SIGTERM and what does not heed it by SIGKILL; from now on nothing is started."""
        with self._lock:
            self._stopped = True
            running = list(self._running)
        _end(running)


def _end(processes: Sequence[subprocess.Popen[str]]) -> None:
    for process in processes:
        _signal(process, signal.SIGTERM)
    for process in processes:
        try:
            process.wait(_SECONDS)
        except subprocess.TimeoutExpired:
            _signal(process, signal.SIGKILL)
            process.wait()


def _signal(process: subprocess.Popen[str], number: signal.Signals) -> None:
    if process.poll() is None:  # until somebody has waited for it, the number is its own
        with suppress(ProcessLookupError):
            os.killpg(process.pid, number)
