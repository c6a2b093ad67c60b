"""The node as a set of namespaces: one process holds them, and whatever runs in them ends with it.

Processes, containers and their shims as well, share a PID namespace, whose end is theirs; mounts are in a mount
namespace, which goes when the last of them does. So nothing is left behind, however ``up`` or a component died.
"""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from harness.process import ComponentError, until

from . import network
from .commands import SEARCH
from .processes import Records, only_child, start

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from .layout import Layout
    from .processes import Process

HOLDER: Final = "holder"
_PRIVATE: Final = ("/run", "/var/log", "/var/lib/cni", "/var/lib/kubelet")
"""Where programs insist on writing; the node has its own."""

_SETTINGS: Final = {
    "vm/overcommit_memory": 1,
    "vm/panic_on_oom": 0,
    "kernel/panic": 10,
    "kernel/panic_on_oops": 1,
    "kernel/keys/root_maxkeys": 1_000_000,
    "kernel/keys/root_maxbytes": 25_000_000,
}
"""What a kubelet writes into the kernel unless it reads it there: it finds these, and the machine keeps its own."""

_PREPARE: Final = """
set -eu
read -r recorded
exec </dev/null
state=$1 namespace=$2; shift 2
mkdir -p /var/lib/cni /var/lib/kubelet
for path in "$@"; do mkdir -p "$state/private$path"; mount --bind "$state/private$path" "$path"; done
mkdir -p /run/netns; touch "/run/netns/$namespace"; mount --bind /proc/self/ns/net "/run/netns/$namespace"
resolver=$(readlink -m /etc/resolv.conf); mkdir -p "${resolver%/*}"; touch "$resolver"
mount --bind "$state/etc/node-resolv.conf" "$resolver"
cd "$state/sys"; find . -type f | while read -r path; do mount --bind "$path" "/proc/sys/$path"; done
touch "$state/held"
exec catatonit -P
"""
"""What nobody has recorded, so that nobody could end it, does nothing: ``read`` fails when who started it is gone."""


def hold(layout: Layout) -> Process:
    """Make the namespaces; the process that is returned, and recorded, keeps them. Raises ComponentError."""
    for name, value in _SETTINGS.items():
        path = layout.state / "sys" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{value}\n", encoding="ascii")
    log = layout.logs / f"{HOLDER}.log"
    command = (
        "nsenter", f"--net={network.path(layout)}",
        "unshare", "--mount", "--pid", "--fork", "--mount-proc", "--propagation", "private",
        "sh", "-c", _PREPARE, HOLDER, layout.state, layout.name, *_PRIVATE,
    )  # fmt: skip
    with _pipe() as (waiting, recorded):
        holder = only_child(start(command, log, {"PATH": SEARCH}, waiting), HOLDER, log)
        Records(layout.records).save(HOLDER, holder)
        os.write(recorded, b"yes\n")
    held = layout.state / "held"
    until(lambda: held.exists() or not holder.alive, 10)
    if not held.exists():
        raise ComponentError(HOLDER, "could not prepare the node's mounts", log)
    return holder


@contextmanager
def _pipe() -> Iterator[tuple[int, int]]:
    """The end to read from and the end to write to; no program inherits them unless it is told to."""
    ends = os.pipe()
    try:
        yield ends
    finally:
        for end in ends:
            os.close(end)


def enter(holder: Process) -> tuple[str, ...]:
    """What to put before a command that is to run on the node."""
    return ("nsenter", f"--target={holder.pid}", "--mount", "--net", "--pid", "--")


def start_inside(
    holder: Process, name: str, command: Sequence[str | Path], log: Path, environment: Mapping[str, str]
) -> Process:
    """Start a program on the node. Raises ComponentError when it ends at once."""
    return only_child(start((*enter(holder), *command), log, environment), name, log)
