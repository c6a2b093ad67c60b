"""``python -m cluster``: a node for end-to-end tests, up and down."""

from __future__ import annotations

import argparse
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

from harness.process import ComponentError
from harness.tools import MissingToolError

from .cluster import DEFAULT, Cluster

if TYPE_CHECKING:
    from collections.abc import Sequence

_FAILURES: Final = (ComponentError, MissingToolError, OSError, RuntimeError, subprocess.TimeoutExpired)
"""What is told in a sentence; anything else is a mistake in here and has a traceback."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit codes: 0, 1 for what failed, 2 for wrong usage."""
    options = _parser().parse_args(arguments)
    signal.signal(signal.SIGTERM, _interrupt)
    cluster = Cluster(options.directory)
    try:
        _act(cluster, options)
    except _FAILURES as error:
        sys.stderr.write(f"cluster: {error}\n")
        return 1
    return 0


def _act(cluster: Cluster, options: argparse.Namespace) -> None:
    began = time.monotonic()
    if options.command == "up":
        fresh = cluster.up(policy=not options.no_policy)
        how = f"is ready after {time.monotonic() - began:.1f} s" if fresh else "runs already"
        sys.stderr.write(f"cluster: {how}; logs are in {cluster.layout.logs}\n")
        sys.stdout.write(f"{cluster.kubeconfig}\n")
    elif options.command == "down":
        cluster.down()
        sys.stderr.write(f"cluster: gone after {time.monotonic() - began:.1f} s\n")
    elif options.command == "load":
        for archive in options.archives:
            cluster.load(archive)
    else:
        sys.stdout.write(f"{cluster.kubeconfig}\n")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="cluster", description=__doc__)
    parser.add_argument("--directory", type=Path, default=DEFAULT, help="where all is kept (default: %(default)s)")
    commands = parser.add_subparsers(dest="command", required=True)
    up = commands.add_parser("up", help="start it, and print the path of the administrator's kubeconfig")
    up.add_argument("--no-policy", action="store_true", help="enforce no NetworkPolicies")
    commands.add_parser("down", help="end every process of it, and remove everything but the logs")
    load = commands.add_parser("load", help="take images over from docker-archives; pods then need not pull them")
    load.add_argument("archives", type=Path, nargs="+", metavar="FILE")
    commands.add_parser("kubeconfig", help="print the path of the administrator's kubeconfig")
    return parser


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt  # `up` then cleans up, as after Ctrl-C


if __name__ == "__main__":
    sys.exit(main())
