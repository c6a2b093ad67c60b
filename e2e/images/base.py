"""The base that stands in for python:3.11-slim-bookworm where there is no registry: Debian's own Python."""

from __future__ import annotations

import hashlib
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from images.buildah import Buildah

_RECIPE: Final = (
    "--variant=minbase",
    "--include=python3,python3-venv,ca-certificates",
    "--dpkgopt=path-exclude=/usr/share/doc/*",
    "--dpkgopt=path-include=/usr/share/doc/*/copyright",
    "--dpkgopt=path-exclude=/usr/share/locale/*",
    "--dpkgopt=path-exclude=/usr/share/man/*",
    "bookworm",
)
_DOCKERFILE: Final = "FROM scratch\nADD rootfs.tar /\n"


class MmdebstrapError(Exception):
    """mmdebstrap failed; carries what it said."""


def base_tag() -> str:
    """Of the base made by this recipe."""
    return f"localhost/shieldwall-base:{hashlib.sha256(' '.join(_RECIPE).encode()).hexdigest()[:12]}"


def make_base(buildah: Buildah) -> str:
    """Its tag, once it is there; made when it is not. Raises MmdebstrapError."""
    tag = base_tag()
    if buildah.has(tag):
        return tag
    with TemporaryDirectory(dir=buildah.storage) as folder:
        command = ["mmdebstrap", *_RECIPE, f"{folder}/rootfs.tar"]
        made = buildah.children.run(command)
        if made.returncode:
            raise MmdebstrapError(made.stderr)
        dockerfile = Path(folder) / "Dockerfile"
        dockerfile.write_text(_DOCKERFILE, encoding="utf-8")
        buildah.build(tag, Path(folder), dockerfile, arguments={}, options=())
    return tag
