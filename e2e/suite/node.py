"""The node of the suite's own cluster, from the outside: its containers are processes of this machine."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any


def main_process(pod: dict[str, Any], container: str) -> int:
    """Process id, on this machine, of a running container's first process. Raises LookupError."""
    statuses = [*pod["status"]["containerStatuses"], *pod["status"].get("initContainerStatuses", [])]
    whole = next(each["containerID"] for each in statuses if each["name"] == container)
    identifier = whole.rpartition("/")[2]
    found = [int(path.parent.name) for path in Path("/proc").glob("[0-9]*/cgroup") if _holds(path, identifier)]
    if not found:
        raise LookupError(f"no process of container {container} ({identifier})")
    return min(found, key=_started)


def busy_seconds() -> float:
    """Processor seconds that everything on this machine has taken since it was started; see proc_stat(5)."""
    user, nice, system, _idle, _iowait, irq, softirq = map(int, Path("/proc/stat").read_text().split()[1:8])
    return (user + nice + system + irq + softirq) / os.sysconf("SC_CLK_TCK")


def _holds(cgroup: Path, identifier: str) -> bool:
    try:
        return identifier in cgroup.read_text(encoding="ascii")
    except OSError:  # it has ended
        return False


def _started(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[19])
