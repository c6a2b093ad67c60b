"""The node's network namespace, through nft."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from shutil import which
from typing import TYPE_CHECKING, Final

from .nftables import removal

if TYPE_CHECKING:
    from .nftables import Json

_NAMESPACES: Final = Path("/var/run/netns")
_SECONDS: Final = 30


class MissingProgramError(RuntimeError):
    """A program that is needed is not installed."""

    def __init__(self, name: str, package: str) -> None:
        super().__init__(f"there is no {name} here; the Debian package {package} has it")
        self.name = name


class NoSuchNamespaceError(RuntimeError):
    """There is no network namespace of that name."""

    def __init__(self, name: str) -> None:
        super().__init__(f"there is no network namespace {name} ({_NAMESPACES / name})")
        self.name = name


class NftError(RuntimeError):
    """nft refused; nothing was changed."""


class Node:
    """Calls return when nft has ended: none is under way while another begins, and none outlives the program."""

    def __init__(self, namespace: str) -> None:
        """``namespace``: as ``ip netns`` lists it. Raises MissingProgramError or NoSuchNamespaceError."""
        if not (_NAMESPACES / namespace).exists():
            raise NoSuchNamespaceError(namespace)
        enter, nft = _program("nsenter", "util-linux"), _program("nft", "nftables")
        self._command = (enter, f"--net={_NAMESPACES / namespace}", nft, "-j", "-f", "-")

    def apply(self, document: Json) -> None:
        """Have the document carried out, as a whole or not at all. Raises NftError."""
        answer = subprocess.run(  # noqa: S603  # fixed words, and the document is no argument
            self._command, input=json.dumps(document), capture_output=True, text=True, timeout=_SECONDS, check=False
        )
        if answer.returncode:
            raise NftError(f"nft ended with code {answer.returncode}: {answer.stderr.strip()}")

    def clear(self) -> None:
        """Remove our table, so that everything is open. Raises NftError."""
        self.apply(removal())


def _program(name: str, package: str) -> str:
    if path := which(name, path="/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"):
        return path
    raise MissingProgramError(name, package)
