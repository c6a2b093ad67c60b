"""Two processes instead of one, so that nothing outlives a run, however it ends.

The outer process (the one people see and kill) only waits; the inner one works. If the outer dies, the inner gets
SIGTERM and ends its programs in order. If the inner dies, the outer inherits every program and kills it.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from typing import TYPE_CHECKING, Final

from shieldwall.local.cluster import processes

if TYPE_CHECKING:
    from collections.abc import Callable

_CLEAN_UP_SECONDS: Final = 30
_SIGNALLED: Final = 128
INTERRUPTED: Final = 130
"""The exit code after Ctrl-C or SIGTERM, as shells have it."""
_ENDINGS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def guarded(work: Callable[[], int]) -> int:
    """Run ``work`` in a child process and give back its exit code, after ending all it left behind.

    To be called before any thread is started. SIGINT, SIGTERM and SIGHUP raise KeyboardInterrupt in ``work``, once.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    processes.adopt_orphans()
    outer = os.getpid()
    inner = os.fork()
    if inner == 0:
        _work(work, outer)
    for number in _ENDINGS:
        signal.signal(number, lambda received, _frame: os.kill(inner, received))
    _, status = os.waitpid(inner, 0)
    for number in _ENDINGS:
        signal.signal(number, signal.SIG_IGN)
    processes.end_descendants(time.monotonic() + _CLEAN_UP_SECONDS)
    code = os.waitstatus_to_exitcode(status)
    return code if code >= 0 else _SIGNALLED - code


def _work(work: Callable[[], int], outer: int) -> None:
    code = 1
    try:
        for number in _ENDINGS:
            signal.signal(number, _interrupt_once)
        processes.adopt_orphans()
        processes.die_with_parent(signal.SIGTERM)
        if os.getppid() == outer:
            code = work()
    except KeyboardInterrupt:
        code = INTERRUPTED
    except SystemExit as error:
        code = error.code if isinstance(error.code, int) else 1
    except BaseException:  # noqa: BLE001  # this process ends here; nobody above it would tell
        sys.excepthook(*sys.exc_info())
    finally:
        if os.getppid() != outer:  # nobody else is left to do it
            processes.end_descendants(time.monotonic() + _CLEAN_UP_SECONDS)
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _interrupt_once(_number: int, _frame: object) -> None:
    """Ctrl-C reaches both processes of a terminal, and the outer one passes it on: the second is not news."""
    for number in _ENDINGS:
        signal.signal(number, signal.SIG_IGN)
    raise KeyboardInterrupt
