"""The rounds of a training: the one that is open, and the records of those that are closed, on the server's volume."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final

from shieldwall.contract.records import Fate, OpenRound, Outcome, RoundRecord
from shieldwall.runtime.steward.storage import append_line, read_lines, read_text, remove, replace_text
from shieldwall.runtime.tally import Tally

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from shieldwall.contract.privacy import PrivacyRecord

REFUSED: Final = frozenset(Fate) - {Fate.ADMITTED, Fate.NO_REPLY, Fate.CLIENT_ERROR}
"""The fates of replies that came and were not let in."""


class UnknownRunError(ValueError):
    """A round of a run that is not the current one, or that was never started here; ``run_id`` names it."""

    def __init__(self, run_id: str) -> None:
        super().__init__(f"run {run_id} is not the one that trains now")
        self.run_id = run_id


class Rounds:
    """The open round and all records; each change is on the disk before it counts."""

    def __init__(self, directory: Path) -> None:
        self._open_file = directory / "open-round.json"
        self._records_file = directory / "rounds.jsonl"
        text = read_text(self._open_file)
        self._open = OpenRound.model_validate_json(text) if text is not None else None
        self._records = [RoundRecord.model_validate_json(line) for line in read_lines(self._records_file)]

    @property
    def records(self) -> tuple[RoundRecord, ...]:
        """All closed attempts, oldest first."""
        return tuple(self._records)

    @property
    def released(self) -> RoundRecord | None:
        """The record of the last released round."""
        return next((record for record in reversed(self._records) if record.outcome is Outcome.RELEASED), None)

    def tally(self, run_id: str | None = None) -> Tally:
        """How the rounds of a run fared, or of all runs."""
        return Tally.of(record for record in self._records if run_id in {None, record.run_id})

    @property
    def privacy(self) -> PrivacyRecord | None:
        """How privacy stood when the open round was opened."""
        return self._open.privacy if self._open is not None else None

    def open(self, opened: OpenRound, current_run: str | None) -> None:
        """Open a round of the current run, in place of any other. Raises UnknownRunError."""
        if opened.run_id != current_run:
            raise UnknownRunError(opened.run_id)
        replace_text(self._open_file, opened.model_dump_json())
        self._open = opened

    def close(self, record: RoundRecord, runs: tuple[str, ...]) -> bool:
        """Keep a record of one of ``runs``; the same attempt told twice is kept once. Raises UnknownRunError.

        Says whether the record is a new one.

        An aggregator that crashed between its disk and this call tells again when its next run starts.
        """
        if record.run_id not in runs:
            raise UnknownRunError(record.run_id)
        new = _attempt(record) not in map(_attempt, self._records)
        if new:
            append_line(self._records_file, record.model_dump_json())
            self._records.append(record)
        if self._open is not None and _attempt(self._open) == _attempt(record):
            remove(self._open_file)
            self._open = None
        return new

    def open_for(self, client: str, current_run: str | None) -> OpenRound | None:
        """The open round, if it is of the current run and ``client`` was asked."""
        if self._open is None or self._open.run_id != current_run or client not in self._open.clients:
            return None
        return self._open

    def fates(self) -> Mapping[str, Counter[Fate]]:
        """How often each reply's fate befell each client."""
        counts: dict[str, Counter[Fate]] = {}
        for record in self._records:
            for reply in record.replies:
                counts.setdefault(reply.client, Counter())[reply.fate] += 1
        return counts


def _attempt(one: OpenRound | RoundRecord) -> tuple[str, int, int]:
    return one.run_id, one.round, one.attempt
