"""Which images there are, and what each is made of."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from shieldwall import __version__

ROOT: Final = Path(__file__).resolve().parents[2]
"""Of the repository."""


@dataclass(frozen=True, slots=True)
class Image:
    """An image; paths are below ROOT."""

    name: str
    """Of its archive."""
    tag: str
    """As a pod's image resolves to it."""
    context: str
    dockerfile: str
    inputs: tuple[str, ...]
    """Files and folders that it is built from."""
    parent: str | None = None
    """Name of the image that it stands on, and with ``parent_argument`` how its Dockerfile calls it."""
    parent_argument: str = ""
    sbom: bool = False
    """Whether it carries an SBOM, at SBOM_DIRECTORY."""


SBOM_DIRECTORY: Final = Path("usr/share/sbom")
_OWN: Final = (".dockerignore", "LICENSE", "README.md", "images/build", "operator", "pyproject.toml")


def _own(name: str) -> Image:
    return Image(
        name=name,
        tag=f"docker.io/shieldwall/{name}:{__version__}",
        context=".",
        dockerfile=f"images/{name}/Dockerfile",
        inputs=(*_OWN, f"images/{name}"),
        sbom=True,
    )


CATALOGUE: Final = (
    _own("operator"),
    _own("runtime"),
    Image(
        name="digits",
        tag="registry.example/digits:1.0",
        context="examples/digits",
        dockerfile="examples/digits/Dockerfile",
        inputs=(
            "examples/digits/.dockerignore",
            "examples/digits/Dockerfile",
            "examples/digits/digits",
            "examples/digits/requirements.lock",
        ),
        parent="runtime",
        parent_argument="RUNTIME",
    ),
    Image(
        name="digits-attacker",
        tag="registry.example/digits-attacker:1.0",
        context="e2e/images/attacker",
        dockerfile="e2e/images/attacker/Dockerfile",
        inputs=("e2e/images/attacker",),
        parent="digits",
        parent_argument="DIGITS",
    ),
)
"""Parents before children."""
