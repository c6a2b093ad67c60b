"""The cgroups that hold the cluster's pods, in cgroup v1 and v2."""

from __future__ import annotations

import errno
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT: Final = Path("/sys/fs/cgroup")
_CONTROLLERS: Final = ("cpu", "cpuset", "hugetlb", "io", "memory", "pids")
"""io for containers; of the others a kubelet demands all that the machine has (getSupportedUnifiedControllers)."""
_OF_CPUSETS: Final = ("cpuset.cpus", "cpuset.mems")


def hierarchies(root: Path = ROOT) -> Iterator[Path]:
    """The folders below which groups are made: version 1 has one for each controller, version 2 is one."""
    if _is_unified(root):
        yield root
    else:
        yield from (path for path in sorted(root.iterdir()) if path.is_dir())


def create(name: str, root: Path = ROOT) -> None:
    """Make the group in every hierarchy, so that the kubelet may take it as the root of its own."""
    if unified := _is_unified(root):
        _delegate(root)
    for hierarchy in hierarchies(root):
        group = hierarchy / name
        group.mkdir(exist_ok=True)
        for each in _OF_CPUSETS:  # v1 admits no process to a group without them, and children do not inherit them
            if not unified and (hierarchy / each).exists():
                (group / each).write_text((hierarchy / each).read_text(encoding="ascii"), encoding="ascii")


def refusal(name: str, root: Path = ROOT) -> str | None:
    """Why no group can be made, as the kernel says it; None when one can. The group ``name`` is there for a moment."""
    try:
        found = list(hierarchies(root))
        for hierarchy in found:
            (hierarchy / name).mkdir()
            (hierarchy / name).rmdir()
    except OSError as error:
        return f"{error.filename}: {error.strerror}"
    if not found:
        return f"{root} is empty"
    return _undelegable(root) if _is_unified(root) else None


def removed(name: str, root: Path = ROOT) -> bool:
    """Remove the group and those below it; False while the kernel keeps one, since a process in it still dies."""
    for hierarchy in hierarchies(root):
        group = hierarchy / name
        below = [path for path in group.rglob("*") if path.is_dir()] if group.exists() else []
        try:
            for each in sorted(below, reverse=True):  # children first
                each.rmdir()
            with suppress(FileNotFoundError):
                group.rmdir()
        except OSError as error:
            if error.errno != errno.EBUSY:
                raise
            return False
    return True


def _delegate(root: Path) -> None:
    wanted = " ".join(f"+{each}" for each in _wanted(root))
    (root / "cgroup.subtree_control").write_text(wanted, encoding="ascii")


def _wanted(root: Path) -> list[str]:
    offered = _words(root / "cgroup.controllers")
    return [each for each in _CONTROLLERS if each in offered]


def _undelegable(root: Path) -> str | None:
    """Only the machine's own root, which has no type, delegates while processes are in it; not that of a container."""
    delegated = set(_wanted(root)) <= set(_words(root / "cgroup.subtree_control"))
    if not delegated and (root / "cgroup.type").exists() and _words(root / "cgroup.procs"):
        return f"{root} holds processes and is not the machine's own root, so that it delegates no controllers"
    return None


def _words(path: Path) -> list[str]:
    return path.read_text(encoding="ascii").split()


def _is_unified(root: Path) -> bool:
    return (root / "cgroup.controllers").exists()
