"""What a node needs of the machine beyond programs, tried in a moment: rights, namespaces, cgroups."""

from __future__ import annotations

import os
import subprocess
from shutil import which
from typing import TYPE_CHECKING, Final

from . import cgroups
from .commands import SEARCH, CommandError, run

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_UNSHARE: Final = ("unshare", "--mount", "--net", "--pid", "--fork", "true")
_PRIVILEGED: Final = "a container has to be privileged for that"


def lacks(root: Path = cgroups.ROOT) -> Iterator[str]:
    """A sentence for each thing that is lacking, with what would be right; nothing is left of the trials.

    ``root``: where cgroups are mounted.
    """
    if os.geteuid() != 0:
        yield "a node is made of namespaces, mounts and cgroups: run this as root"
        return
    if said := _refusal():
        yield f"no namespaces can be made here ({said}); {_PRIVILEGED}"
    if said := cgroups.refusal(f"shieldwall-trial-{os.getpid()}", root):
        yield f"no cgroup can be made here ({said}); {_PRIVILEGED}, with {root} mounted for writing"


def _refusal() -> str | None:
    if which(_UNSHARE[0], path=SEARCH) is None:
        return "the Debian package util-linux is not installed, which has unshare"
    try:
        run(*_UNSHARE)
    except CommandError as error:
        return error.said
    except subprocess.TimeoutExpired:
        return "unshare does not end"
    return None
