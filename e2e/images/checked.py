"""Which images were found well, so that each is tried once and not whenever somebody asks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from images.catalogue import ROOT
from images.check import check
from images.fingerprint import fingerprint

if TYPE_CHECKING:
    from pathlib import Path

    from images.buildah import Buildah
    from images.catalogue import Image

_CHECKS: Final = ("e2e/images/check.py", "e2e/images/jail.py")


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is wrong with an image, a line each; ``known`` when nothing was, and nothing has changed since."""

    problems: list[str]
    known: bool


def check_once(buildah: Buildah, directory: Path, image: Image) -> Verdict:
    """Check it unless this very image has passed these very checks. Raises BuildahError when it is not there.

    ``directory``: where that is recorded.
    """
    record = directory / f"{image.name}.checked"
    mark = fingerprint(ROOT, (*_CHECKS, *image.inputs), image.tag, buildah.identity(image.tag))
    if record.exists() and record.read_text(encoding="ascii") == mark:
        return Verdict([], known=True)
    problems = check(buildah, image)
    if not problems:
        record.write_text(mark, encoding="ascii")
    return Verdict(problems, known=False)
