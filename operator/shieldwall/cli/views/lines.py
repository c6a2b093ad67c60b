"""Events as JSON lines, for programs."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from shieldwall.local.events import Event


def show(event: Event) -> None:
    """Write one event; nothing else is ever written to standard output."""
    sys.stdout.write(event.model_dump_json() + "\n")
    sys.stdout.flush()
