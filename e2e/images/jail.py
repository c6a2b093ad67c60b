"""A command in an image as a pod would run it: as its user, without rights, network or a file that can be written."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from pathlib import Path

_SCRIPT: Final = """
set -e
root=$1 user=$2
shift 2
mount --bind "$root" "$root"
mount -o remount,bind,ro "$root"
mount -t proc proc "$root/proc"
mount --bind /dev "$root/dev"
mount -t tmpfs -o mode=1777 tmpfs "$root/tmp"
exec setpriv --no-new-privs chroot --userspec="$user" --groups= "$root" env -i "$@"
"""
_OWN_NAMESPACES: Final = ("unshare", "--mount", "--pid", "--fork", "--kill-child", "--net", "--ipc", "--uts")
_SECONDS: Final = 120


@dataclass(frozen=True, slots=True)
class Answer:
    """What a command ended with and all that it printed."""

    code: int
    said: str


def run(files: Path, config: dict[str, Any], command: tuple[str, ...]) -> Answer:
    """Run ``command`` in the image with these ``files`` and this OCI ``config``."""
    jailed = [*_OWN_NAMESPACES, "sh", "-c", _SCRIPT, "jail", str(files), config["User"], *config["Env"], "HOME=/tmp"]
    answer = subprocess.run(  # noqa: S603  # an image of ours
        [*jailed, *command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=_SECONDS, check=False
    )
    return Answer(answer.returncode, answer.stdout)
