"""Where the programs are that ``.ci/tools`` built."""

from __future__ import annotations

import subprocess
from functools import cache
from pathlib import Path

BUILDER = Path(__file__).parents[2] / ".ci" / "tools"


class MissingToolError(Exception):
    """A program that is needed is not built, or not known; the message is the builder's own."""

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(f"{name}: {reason} (run .ci/tools)")
        self.name = name


@cache
def binary(name: str) -> Path:
    """Path of the built program ``name``, as in ``.ci/tools --list``. Raises MissingToolError."""
    answer = subprocess.run([BUILDER, "--path", name], capture_output=True, text=True, check=False)
    if answer.returncode:
        raise MissingToolError(name, answer.stderr.strip())
    return Path(answer.stdout.strip())
