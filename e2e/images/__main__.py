"""``python -m images build|check``: make the images of e2e, or try each without a cluster."""

from __future__ import annotations

import argparse
import fcntl
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

from images.base import MmdebstrapError, make_base
from images.build import build_all
from images.buildah import Buildah, BuildahError
from images.catalogue import CATALOGUE
from images.check import check

if TYPE_CHECKING:
    from collections.abc import Sequence

DEFAULT: Final = Path("/var/lib/shieldwall-e2e/images")
_MEGABYTE: Final = 1_000_000


def main(argv: Sequence[str] | None = None) -> int:
    """Exit codes: 0 all is well, 1 something is not."""
    options = _parser().parse_args(argv)
    directory: Path = options.output.resolve()
    buildah = Buildah(directory / "storage", directory / "logs")
    for folder in (buildah.storage, buildah.logs):
        folder.mkdir(parents=True, exist_ok=True)
    try:
        with (directory / "lock").open("wb") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # two at once would write one archive
            return _build(buildah, directory, options.base) if options.command == "build" else _check(buildah)
    except (BuildahError, MmdebstrapError) as error:
        sys.stderr.write(f"images: {error}\n")
        return 1


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


def _check(buildah: Buildah) -> int:
    problems = [problem for image in CATALOGUE for problem in check(buildah, image)]
    for problem in problems:
        _say(problem)
    _say(f"images: {len(CATALOGUE)} checked, {len(problems)} problems")
    return 1 if problems else 0


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
