"""A run line by line, for logs and pipes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from shieldwall.cli.terminal import printable
from shieldwall.cli.views.phrases import exited_line, metrics, number, round_line, standings
from shieldwall.local import events
from shieldwall.local.outcome import End
from shieldwall.local.standing import Standing

if TYPE_CHECKING:
    from rich.console import Console

    from shieldwall.local.outcome import RunOutcome

_NEWS: Final = frozenset({1, 4})
"""A container may end again and again: the first time is news, and that it goes on."""


class PlainView:
    """Prints one line for each thing that people want to know."""

    def __init__(self, screen: Console) -> None:
        self._screen = screen
        self._rounds = 0
        self._message = ""

    def show(self, event: events.Event) -> None:
        """Tell of one event."""
        line = self._line(event)
        if line:
            self._screen.print(printable(line))

    def _line(self, event: events.Event) -> str:  # noqa: PLR0911  # one answer for each kind of event
        match event:
            case events.Began():
                self._rounds = event.rounds
                attackers = ", ".join(f"{client} ({kind})" for client, kind in event.attackers.items())
                begun = f"{event.training} · {event.label} · {len(event.clients)} clients · {event.rounds} rounds"
                attacked = f"{begun} · attacking: {attackers}" if attackers else begun
                return f"{attacked} · files in {event.directory}"
            case events.Step() | events.Notice():
                return event.message
            case events.Exited():
                return exited_line(event) if event.restarts in _NEWS else ""
            case events.Renewed():
                return f"renewed: {event.subject}, serial {event.serial}"
            case events.RoundClosed():
                return round_line(event.record, self._rounds)
            case events.Progress():
                return self._news(event)
            case events.Ended():
                return ""

    def _news(self, event: events.Progress) -> str:
        if event.status.message == self._message or event.status.round:
            return ""
        self._message = event.status.message
        return event.status.message


def closing(outcome: RunOutcome) -> list[str]:
    """The last lines of a run."""
    counts = standings(outcome.records)
    words = {End.COMPLETED: "done", End.FAILED: "failed", End.INTERRUPTED: "interrupted"}
    parts = [f"{words[outcome.end]} after {outcome.timings.total:.0f} s"]
    if outcome.released:
        parts.append(f"{len(outcome.released)} rounds")
        parts.append(metrics(outcome.released[-1].metrics))
    if outcome.epsilon is not None:
        parts.append(f"ε {number(outcome.epsilon)} spent")
    parts += [f"{counts[each]} {each}" for each in (Standing.OUTVOTED, Standing.REJECTED) if counts[each]]
    lines = [" · ".join(part for part in parts if part)]
    if outcome.end is not End.COMPLETED or outcome.budget_spent or outcome.rounds_lost:
        lines.append(printable(outcome.message))
    if outcome.model is not None:
        lines.append(f"model: {outcome.model.path}  sha256 {outcome.model.sha256}")
    return lines
