"""The last resort: nothing that a command does ends in a traceback on the screen."""

from __future__ import annotations

import errno
import os
import sys
import tempfile
import traceback
from typing import TYPE_CHECKING, Final

from shieldwall.cli.exit_codes import ExitCode
from shieldwall.cli.terminal import console, printable

if TYPE_CHECKING:
    from collections.abc import Callable

_GONE: Final = frozenset({errno.EPIPE, errno.EIO})
"""The reader of a pipe has gone, or the terminal was closed."""


def told(work: Callable[[], int]) -> int:
    """The exit code of ``work``; unexpected errors go to a file that is named on standard error."""
    try:
        return work()
    except OSError as error:
        if error.errno not in _GONE:
            return _tell(error)
        # Nobody reads any more; Python's own flush at exit would fail on it again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except Exception as error:  # noqa: BLE001  # the last resort
        return _tell(error)
    return ExitCode.FAILED


def _tell(error: Exception) -> ExitCode:
    handle, path = tempfile.mkstemp(prefix="shieldwall-error-", suffix=".log", text=True)
    with os.fdopen(handle, "w", encoding="utf-8") as log:
        traceback.print_exception(error, file=log)
    screen = console(stderr=True)
    what = printable(str(error)) or type(error).__name__
    screen.print(f"shieldwall: something unexpected happened: {what}", style="red")
    screen.print(f"The details are in {path}.")
    return ExitCode.FAILED
