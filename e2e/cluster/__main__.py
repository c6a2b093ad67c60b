"""``python -m cluster``: a node for end-to-end tests, up and down."""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

from harness.process import ComponentError
from harness.tools import MissingToolError

from . import preflight, strays
from .cluster import DEFAULT, Cluster, NotRootError
from .commands import MissingProgramsError

if TYPE_CHECKING:
    from collections.abc import Sequence

_LACKS: Final = (MissingProgramsError, MissingToolError, NotRootError)
_FAILURES: Final = (ComponentError, OSError, RuntimeError, subprocess.TimeoutExpired)
"""What is told in a sentence, as lacks are; anything else is a mistake in here and has a traceback."""
_INTERRUPTED: Final = 130
"""As a shell has it for Ctrl-C."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit codes: 0, 1 for what failed, 2 for wrong usage, 69 (EX_UNAVAILABLE) for what the machine lacks."""
    options = _parser().parse_args(arguments)
    signal.signal(signal.SIGTERM, _interrupt)
    cluster = Cluster(options.directory)
    try:
        return _act(cluster, options)
    except _LACKS as error:
        sys.stderr.write(f"cluster: {error}\n")
        return os.EX_UNAVAILABLE
    except _FAILURES as error:
        sys.stderr.write(f"cluster: {error}\n")
        return 1
    except KeyboardInterrupt:
        sys.stderr.write("cluster: interrupted\n")
        return _INTERRUPTED


def _act(cluster: Cluster, options: argparse.Namespace) -> int:
    began = time.monotonic()
    if options.command == "up":
        fresh = cluster.up(policy=not options.no_policy)
        how = f"is ready after {time.monotonic() - began:.1f} s" if fresh else "runs already"
        sys.stderr.write(f"cluster: {how}; logs are in {cluster.layout.logs}\n")
        sys.stdout.write(f"{cluster.kubeconfig}\n")
    elif options.command == "down":
        cluster.down()
        strays.end(cluster.layout.directory)
        sys.stderr.write(f"cluster: gone after {time.monotonic() - began:.1f} s\n")
    elif options.command == "load":
        loaded = cluster.load(*options.archives)
        what = ", ".join(loaded) or "nothing, all is there"
        sys.stderr.write(f"cluster: loaded {what} in {time.monotonic() - began:.1f} s\n")
    elif options.command == "check":
        return _check()
    else:
        sys.stdout.write(f"{cluster.kubeconfig}\n")
    return 0


def _check() -> int:
    lacks = list(preflight.lacks())
    for lack in lacks:
        sys.stderr.write(f"cluster: {lack}\n")
    return os.EX_UNAVAILABLE if lacks else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="cluster", description=__doc__)
    parser.add_argument("--directory", type=Path, default=DEFAULT, help="where all is kept (default: %(default)s)")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("check", help="say what this machine lacks for a node, before anything is installed or built")
    up = commands.add_parser("up", help="start it, and print the path of the administrator's kubeconfig")
    up.add_argument("--no-policy", action="store_true", help="enforce no NetworkPolicies")
    commands.add_parser("down", help="end every process of it and of tests that were killed; logs stay")
    load = commands.add_parser("load", help="take images over from docker-archives; pods then need not pull them")
    load.add_argument("archives", type=Path, nargs="+", metavar="FILE")
    commands.add_parser("kubeconfig", help="print the path of the administrator's kubeconfig")
    return parser


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt  # `up` then cleans up, as after Ctrl-C


if __name__ == "__main__":
    sys.exit(main())
