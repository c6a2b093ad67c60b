"""Role ``superlink``: Flower's SuperLink, unmodified, on the pod's loopback behind the proxy."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from shieldwall.contract import ports
from shieldwall.contract.paths import Paths, loopback
from shieldwall.runtime.flower.database import restore
from shieldwall.runtime.flower.environment import become

if TYPE_CHECKING:
    from collections.abc import Sequence


def arguments(paths: Paths, address: str) -> list[str]:
    """The command line: TLS on loopback, node authentication, a task process for each task, SQLite on the volume."""
    certificate = str(paths.local_certificate)
    return [
        *("--host", address, "--port", str(ports.SUPERLINK)),
        *("--ssl-certfile", certificate, "--ssl-keyfile", str(paths.local_key), "--ssl-ca-certfile", certificate),
        "--enable-supernode-auth",
        *("--database", str(paths.superlink_database)),
        *("--isolation", "process"),
        *("--superexec-auth-secret-file", str(paths.superexec_secret)),
        "--disable-runtime-dependency-installation",
    ]


def main(argv: Sequence[str]) -> int:
    """Run the SuperLink until it is told to stop, after a damaged or missing database was put back from its copy."""
    paths = Paths.of_this_container()
    paths.superlink_database.parent.mkdir(parents=True, exist_ok=True)
    found = restore(paths.superlink_database, paths.superlink_backup)
    sys.stdout.write(f"shieldwall: database: {found}\n")
    sys.stdout.flush()
    become("flower-superlink", *arguments(paths, loopback()), *argv)
    from flwr.superlink.cli import flower_superlink  # Flower reads its environment when it is imported

    flower_superlink()
    return 0
