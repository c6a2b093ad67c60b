"""Short commands of the machine."""

from __future__ import annotations

import subprocess
from shutil import which
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

SEARCH: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
"""Where Debian's programs are; a user's own PATH may lack sbin."""
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
    environment = {"PATH": SEARCH, "LC_ALL": "C.UTF-8"}
    answer = subprocess.run(  # noqa: S603  # no shell, words are our own
        command, input=given, env=environment, capture_output=True, text=True, timeout=_SECONDS, check=False
    )
    if answer.returncode:
        raise CommandError(command, answer.returncode, answer.stderr.strip())
    return answer.stdout


def require(names: Iterable[str]) -> None:
    """Raises MissingProgramsError when one is not installed."""
    if missing := [name for name in names if which(name, path=SEARCH) is None]:
        raise MissingProgramsError(missing)
