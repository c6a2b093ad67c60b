"""Which system users and groups the containers of a run get.

As root every container runs under a user of its own pod, and every volume belongs to a group of its own, which only
the containers that mount it hold: the same walls as in a pod, made of file modes. Otherwise all run as the caller.
"""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_WIDE_BASE: Final = 0x1000_0000
_WIDE_STEP: Final = 0x1_0000
_NARROW_BASE: Final = 20_000
_PROBE_SECONDS: Final = 60


@dataclass(frozen=True, slots=True)
class OneUser:
    """Every container runs as the caller; containers are kept apart by where they look, not by the system."""

    reason: str
    """One sentence: why users are not switched."""

    def user(self, pod: str, uid: int) -> None:
        """No other user."""

    def group(self, volume: Path) -> None:
        """No other group."""


@dataclass(frozen=True, slots=True)
class UserEach:
    """A user for each (pod, uid of the template) and a group for each volume, numbered from ``base``."""

    base: int
    _users: dict[tuple[str, int], int] = field(default_factory=dict)
    _groups: dict[Path, int] = field(default_factory=dict)

    def user(self, pod: str, uid: int) -> int:
        """The system's uid (and private gid) for the containers of ``pod`` that its template runs as ``uid``."""
        return self._users.setdefault((pod, uid), self._next())

    def group(self, volume: Path) -> int:
        """The system's gid that owns ``volume``."""
        return self._groups.setdefault(volume, self._next())

    def _next(self) -> int:
        return self.base + len(self._users) + len(self._groups)


Users = OneUser | UserEach


def id_base(block: int, capacity: int) -> int:
    """The first id for the run that holds address block ``block``, where ids below ``capacity`` exist.

    Full id spaces give every run ids of its own; in a container with 65,536 ids all runs share a range.
    """
    wide = _WIDE_BASE + block * _WIDE_STEP
    return wide if wide + _WIDE_STEP <= capacity else _NARROW_BASE


def id_capacity(id_map: str) -> int:
    """One more than the highest id of a ``/proc/self/uid_map``."""
    ranges = [[int(word) for word in line.split()] for line in id_map.splitlines()]
    return max((inside + length for inside, _, length in ranges), default=0)


def trouble_for_others(
    base: int, readable: Sequence[Path], passable: Sequence[Path], env: Mapping[str, str]
) -> str | None:
    """Try the interpreter, the package and the directories as user ``base``; None, or why it fails.

    ``readable`` directories are listed, ``passable`` ones only walked through.
    """
    program = (
        "import os, sys, shieldwall.runtime\n"
        "for path in sys.argv[2:]:\n"
        "    os.stat(path + '/.')\n"
        "for path in sys.argv[2:][:int(sys.argv[1])]:\n"
        "    os.listdir(path)\n"
    )
    paths = [str(path) for path in (*readable, *passable)]
    try:
        done = subprocess.run(  # noqa: S603  # our own interpreter and program; the paths are arguments
            [sys.executable, "-c", program, str(len(readable)), *paths],
            user=base,
            group=base,
            extra_groups=[],
            env=dict(env),
            cwd="/",
            capture_output=True,
            timeout=_PROBE_SECONDS,
            check=False,
        )
    except OSError as error:
        return f"Python at {sys.executable} cannot be started as another user ({error.strerror})"
    if done.returncode:
        return f"Python, Shieldwall or one of {', '.join(paths)} cannot be read by other users"
    return None


def choose(block: int, readable: Sequence[Path], passable: Sequence[Path], env: Mapping[str, str]) -> Users:
    """Switch users where this process may and the programs stay readable; ``block`` is the run's address block."""
    if os.geteuid() != 0:
        return OneUser("Not started as root: all programs run as you, and file modes do not keep them apart.")
    capacity = min(id_capacity(Path(f"/proc/self/{kind}_map").read_text(encoding="ascii")) for kind in ("uid", "gid"))
    base = id_base(block, capacity)
    trouble = trouble_for_others(base, readable, passable, env)
    if trouble is not None:
        return OneUser(f"All programs run as root, and file modes do not keep them apart: {trouble}.")
    return UserEach(base)
