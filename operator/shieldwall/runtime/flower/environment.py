"""How Flower's own processes are set up in our pods."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

FLOWER_ENVIRONMENT: Final[Mapping[str, str]] = {
    "FLWR_TELEMETRY_ENABLED": "0",
    "FLWR_DISABLE_UPDATE_CHECK": "1",
}


def enter(directory: Path) -> None:
    """Work in ``directory``, made if need be: people's apps write files where they stand, and images are read-only."""
    directory.mkdir(parents=True, exist_ok=True)
    os.chdir(directory)


def become(command: str, *arguments: str) -> None:
    """Make this process look like ``command`` to Flower, which reads sys.argv; call before importing flwr."""
    for name, value in FLOWER_ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    sys.argv = [command, *arguments]
