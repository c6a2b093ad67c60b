"""How many processors this container may keep busy."""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import Final

CGROUP: Final = Path("/sys/fs/cgroup")


def available_cpus(cgroup: Path = CGROUP) -> int:
    """The container's CPU limit, rounded up, or the processors that it may run on where it has none; 1 at least.

    Libraries count the node's processors and start a thread for each; under a limit these wait for each other.
    """
    processors = len(os.sched_getaffinity(0))
    quota = _quota(cgroup)
    return max(1, min(processors, math.ceil(quota) if quota is not None else processors))


def _quota(cgroup: Path) -> float | None:
    """Processors' worth of time: cgroup v2 writes it into one file, v1 into two."""
    try:
        quota, period = (cgroup / "cpu.max").read_text().split()
    except (OSError, ValueError):
        try:
            quota, period = ((cgroup / "cpu" / f"cpu.cfs_{word}_us").read_text() for word in ("quota", "period"))
        except OSError:
            return None
    try:
        return int(quota) / int(period) if int(quota) > 0 and int(period) > 0 else None
    except ValueError:  # "max"
        return None
