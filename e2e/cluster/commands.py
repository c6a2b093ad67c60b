"""Short commands of the machine."""

from __future__ import annotations

import subprocess
from contextlib import suppress
from shutil import which
from tempfile import TemporaryFile
from typing import IO, TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

SEARCH: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
"""Where Debian's programs are; a user's own PATH may lack sbin."""
_ENVIRONMENT: Final = {"PATH": SEARCH, "LC_ALL": "C.UTF-8"}
_SECONDS: Final = 180


class CommandError(RuntimeError):
    """A command failed; carries what it said."""

    def __init__(self, words: tuple[str, ...], code: int, said: str) -> None:
        super().__init__(f"{' '.join(words)} ended with code {code}: {said}")
        self.words = words
        self.code = code
        self.said = said


class MissingProgramsError(RuntimeError):
    """Programs of the machine that are needed are not installed."""

    def __init__(self, names: list[str]) -> None:
        super().__init__(f"there is no {', '.join(names)} here; .ci/e2e-packages installs what is missing")
        self.names = names


def run(*words: str | Path, given: str | None = None) -> str:
    """Run a command, ``given`` on its standard input; returns its output. Raises CommandError or TimeoutExpired."""
    command = tuple(map(str, words))
    answer = subprocess.run(  # noqa: S603  # no shell, words are our own
        command, input=given, env=_ENVIRONMENT, capture_output=True, text=True, timeout=_SECONDS, check=False
    )
    if answer.returncode:
        raise CommandError(command, answer.returncode, answer.stderr.strip())
    return answer.stdout


def feed(*words: str | Path, write: Callable[[IO[bytes]], None]) -> None:
    """Run a command that reads what ``write`` writes. Raises CommandError, or TimeoutExpired after that."""
    command = tuple(map(str, words))
    with TemporaryFile() as said, _reading(command, said) as process:
        try:
            _write(process, write)
        except BaseException:
            process.kill()  # half of what it was to read is not to be taken for the whole
            raise
        if code := process.wait(_SECONDS):
            said.seek(0)
            raise CommandError(command, code, said.read().decode(errors="replace").strip())


def _reading(command: tuple[str, ...], said: IO[bytes]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(  # noqa: S603  # no shell, words are our own
        command, env=_ENVIRONMENT, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=said
    )


def _write(process: subprocess.Popen[bytes], write: Callable[[IO[bytes]], None]) -> None:
    """A command that ends before it has read all says why itself."""
    if process.stdin is not None:
        with suppress(BrokenPipeError):
            write(process.stdin)
        with suppress(BrokenPipeError):
            process.stdin.close()


def require(names: Iterable[str]) -> None:
    """Raises MissingProgramsError when one is not installed."""
    if missing := [name for name in names if which(name, path=SEARCH) is None]:
        raise MissingProgramsError(missing)
