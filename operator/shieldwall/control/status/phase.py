"""The one word for where a training is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from shieldwall.contract.records import Phase
from shieldwall.control.status.view import SUSPENDED

if TYPE_CHECKING:
    from shieldwall.control.status.view import View

UNREACHABLE: Final = "Unreachable"
INVALID: Final = "Invalid"


def phase_of(view: View) -> str:
    """The steward's word while it answers, unless the spec is invalid.

    A pause of the operator stops no training, so it is no phase.
    """
    if view.refused:
        return INVALID
    if view.suspended:
        return SUSPENDED
    if view.last is None:
        return UNREACHABLE if view.was_seen or view.server_ready else Phase.STARTING.value
    if view.fresh is None and view.ended is None:
        return UNREACHABLE
    return view.last.status.phase.value
