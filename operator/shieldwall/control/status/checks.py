"""How one claim about security is told: seen to hold, seen to fail, or not seen."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from shieldwall.control.api.status import Check, CheckState
from shieldwall.control.status.text import REMARK, clip

if TYPE_CHECKING:
    from collections.abc import Callable

    from shieldwall.control.status.view import View

Finding = tuple[CheckState, str]
"""What was seen, and a sentence about it."""


@dataclass(frozen=True, slots=True)
class Claim:
    """A named claim, what it is worth, and how it is looked at."""

    name: str
    points: int
    look: Callable[[View], Finding]

    def check(self, view: View) -> Check:
        """The claim as status tells it."""
        state, message = self.look(view)
        return Check(name=self.name, state=state, points=self.points, message=clip(message, REMARK))


def observed(message: str) -> Finding:
    """It was seen to hold."""
    return CheckState.OBSERVED, message


def failed(message: str) -> Finding:
    """It was seen not to hold."""
    return CheckState.FAILED, message


def unknown(message: str) -> Finding:
    """Nothing was seen of it, which counts as nothing."""
    return CheckState.UNKNOWN, message


UNSEEN = unknown("The steward does not answer.")
NO_ROUND = unknown("No round is released yet.")
