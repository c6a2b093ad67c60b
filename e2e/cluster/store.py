"""The images that containerd has."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from . import bundle
from .commands import feed, run

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from .layout import Layout


def identity(layout: Layout, name: str) -> str | None:
    """Digest of all that the image of this name is, its configuration's; None when there is none.

    Raises CommandError.
    """
    for line in _ctr(layout, "images", "list", f"name=={name}").splitlines()[1:]:
        manifest = json.loads(_ctr(layout, "content", "get", line.split()[2]))
        digest: str = manifest["config"]["digest"]
        return digest
    return None


def load(layout: Layout, archives: Sequence[Path]) -> list[str]:
    """Give containerd what it lacks of the images of docker-archives; returns their names.

    Raises CommandError, NoArchiveError or OSError.
    """
    given = [image for archive in archives for image in bundle.images(archive)]
    lacking = [image for image in given if any(identity(layout, name) != image.identity for name in image.names)]
    if lacking:
        command = (*_words(layout), "images", "import", "-")
        feed(*command, write=lambda file: bundle.write(lacking, file))
    return [name for image in lacking for name in image.names]


def _ctr(layout: Layout, *words: str) -> str:
    return run(*_words(layout), *words)


def _words(layout: Layout) -> tuple[str, ...]:
    return ("ctr", f"--address={layout.containerd}", "--namespace=k8s.io")
