"""How many rounds came to a release and how many were lost, counted from their records, and told in sentences."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from shieldwall.contract.records import Outcome

if TYPE_CHECKING:
    from collections.abc import Iterable

    from shieldwall.contract.records import RoundRecord

_ADVICE = (
    "Mend the clients whose replies were missing or refused, or ask for fewer (rounds.minReplies,"
    " aggregation.byzantine); the changed training is tried again."
)


@dataclass(frozen=True, slots=True)
class Tally:
    """Rounds, not attempts."""

    released: int = 0
    lost: int = 0
    """Over without a release: skipped, or given up for a later one."""
    last: int = 0
    """The last one that is over; 0 before the first."""
    why: str = ""
    """Why the last attempt that released nothing did so, with its round; empty where there was none."""

    @classmethod
    def of(cls, records: Iterable[RoundRecord]) -> Tally:
        """Count; the last round of all is not over while it may be repeated."""
        known = tuple(records)
        released = {record.round for record in known if record.outcome is Outcome.RELEASED}
        tried = {record.round for record in known}
        latest = known[-1] if known else None
        open_ = {latest.round} if latest is not None and latest.outcome is Outcome.REPEATED else set()
        over = released | (tried - open_)
        failed = [record for record in known if record.round not in released]
        why = f"in round {failed[-1].round}, {failed[-1].reason}" if failed else ""
        return cls(len(released), len(over - released), max(over, default=0), why)

    @property
    def empty(self) -> str:
        """Why a training that ended has no model, and what to do about it."""
        if not self.why:
            return "The app ended and released no round: its ServerApp asked no client to train."
        return f"The app ended and released no round: {self.why}. {_ADVICE}"

    @property
    def losses(self) -> str:
        """``1 round was lost: in round 2, …``; empty where none was."""
        if not self.lost:
            return ""
        return f"{_rounds(self.lost)} {'was' if self.lost == 1 else 'were'} lost: {self.why}"

    @property
    def end(self) -> str:
        """How many rounds a training that ended has released, and how many it lost."""
        told = f"The training ended with {_rounds(self.released)} released"
        return f"{told}; {self.losses}." if self.lost else f"{told}."


UNTRIED: Final = Tally()
"""Before the first round."""


def _rounds(number: int) -> str:
    return f"{number} round{'' if number == 1 else 's'}"
