"""``python -m images build|check``: make the images of e2e, or try each without a cluster."""

from __future__ import annotations

import argparse
import fcntl
import os
import signal
import sys
import time
from pathlib import Path
from shutil import which
from typing import TYPE_CHECKING, Final

from images.base import MmdebstrapError, make_base
from images.build import build_all
from images.buildah import Buildah, BuildahError
from images.catalogue import CATALOGUE
from images.checked import check_once

if TYPE_CHECKING:
    from collections.abc import Sequence

DEFAULT: Final = Path("/var/lib/shieldwall-e2e/images")
_MEGABYTE: Final = 1_000_000
_PROGRAMS: Final = ("buildah", "mmdebstrap", "setpriv", "unshare")
_INTERRUPTED: Final = 130
"""As a shell has it for Ctrl-C."""


class LackError(Exception):
    """The machine lacks what images are made with; the message says what would be right."""


def main(argv: Sequence[str] | None = None) -> int:
    """Exit codes: 0 all is well, 1 something is not, 69 (EX_UNAVAILABLE) the machine lacks something."""
    options = _parser().parse_args(argv)
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        return _act(options)
    except LackError as error:
        sys.stderr.write(f"images: {error}\n")
        return os.EX_UNAVAILABLE
    except (BuildahError, MmdebstrapError, OSError) as error:
        sys.stderr.write(f"images: {error}\n")
        return 1
    except KeyboardInterrupt:
        sys.stderr.write("images: interrupted\n")
        return _INTERRUPTED


def _act(options: argparse.Namespace) -> int:
    if os.geteuid() != 0:
        raise LackError("images are made and tried in mounts and namespaces: run this as root")
    if missing := [name for name in _PROGRAMS if which(name) is None]:
        raise LackError(f"there is no {', '.join(missing)} here; .ci/e2e-packages installs what is missing")
    directory: Path = options.output.resolve()
    buildah = Buildah(directory / "storage", directory / "logs")
    for folder in (buildah.storage, buildah.logs):
        folder.mkdir(parents=True, exist_ok=True)
    with (directory / "lock").open("wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # two at once would write one archive
        buildah.clear()  # of one that was killed
        try:
            return (
                _build(buildah, directory, options.base) if options.command == "build" else _check(buildah, directory)
            )
        except KeyboardInterrupt:
            buildah.clear()
            raise


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="images", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    building = commands.add_parser("build", help="build what changed, and write a docker-archive of each image")
    building.add_argument("--base", help="an image to build on, instead of one made by mmdebstrap")
    checking = commands.add_parser(
        "check", help="run what was built: as its user, on read-only files, without a network"
    )
    for each in (building, checking):
        each.add_argument("--output", type=Path, default=DEFAULT, help="where all of it is kept (default: %(default)s)")
    return parser


def _build(buildah: Buildah, directory: Path, base: str | None) -> int:
    start = time.monotonic()
    tag = base or make_base(buildah)
    _say(f"base {tag}: {time.monotonic() - start:.1f} s")
    for written in build_all(buildah, directory, tag):
        size = written.archive.stat().st_size / _MEGABYTE
        what = "unchanged" if written.unchanged else f"{written.seconds:.1f} s"
        _say(f"{written.image.tag}: {size:.0f} MB, {what}, {written.archive}")
    _say(f"images: {time.monotonic() - start:.1f} s in all")
    return 0


def _check(buildah: Buildah, directory: Path) -> int:
    count = 0
    for image in CATALOGUE:
        verdict = check_once(buildah, directory, image)
        for problem in verdict.problems:
            _say(problem)
        if verdict.known:
            _say(f"{image.tag}: unchanged since it was checked")
        count += len(verdict.problems)
    _say(f"images: {len(CATALOGUE)} checked, {count} problems")
    return 1 if count else 0


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt  # what was begun is then removed, as after Ctrl-C


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
