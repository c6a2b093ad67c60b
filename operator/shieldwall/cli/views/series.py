"""Several runs, one line each: the demonstration."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Self

from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from shieldwall.cli.terminal import printable
from shieldwall.cli.views.phrases import metrics, round_line
from shieldwall.contract.records import Outcome
from shieldwall.local import events
from shieldwall.local.standing import Standing, standing_of

if TYPE_CHECKING:
    from types import TracebackType

    from rich.console import Console

    from shieldwall.contract.records import RoundRecord

_BAR: Final = 12


class _Line:
    """The state of one run."""

    def __init__(self, place: str, began: events.Began) -> None:
        self.place = place
        self.label = began.label
        self.rounds = began.rounds
        self.round = 0
        self.accuracy = ""
        self.outvoted = 0
        self.rejected = 0
        self.waiting = ""

    def count(self, record: RoundRecord) -> None:
        """Take a closed round in."""
        if record.outcome is Outcome.RELEASED:
            self.round = record.round
            self.accuracy = metrics(record.metrics)
        standings = [standing_of(reply, record.rule) for reply in record.replies]
        self.outvoted += standings.count(Standing.OUTVOTED)
        self.rejected += standings.count(Standing.REJECTED)

    @property
    def facts(self) -> str:
        """What stands to the right."""
        if not self.round:
            return printable(self.waiting)
        counts = [(self.outvoted, "outvoted"), (self.rejected, "rejected")]
        return "   ".join([self.accuracy, *(f"{count} {word}" for count, word in counts if count)])


class Series:
    """Follows runs one after the other."""

    def __init__(self, screen: Console, runs: int) -> None:
        self._screen = screen
        self._runs = runs
        self._lines: list[_Line] = []

    def take(self, event: events.Event) -> None:
        """Bring the current run's line up to date."""
        match event:
            case events.Began():
                self._lines.append(_Line(f"{len(self._lines) + 1}/{self._runs}", event))
            case events.Step():
                self._lines[-1].waiting = event.message
            case events.Progress():
                self._lines[-1].waiting = event.status.message
            case events.RoundClosed():
                self._lines[-1].count(event.record)
            case events.Notice() | events.Exited() | events.Renewed() | events.Ended():
                pass

    @property
    def current(self) -> _Line:
        """The run that goes on."""
        return self._lines[-1]


class PlainSeries(Series):
    """One line for each round, for logs and pipes."""

    def show(self, event: events.Event) -> None:
        """Tell of one event."""
        self.take(event)
        match event:
            case events.Began():
                self._screen.print(f"{self.current.place} {printable(event.label)}")
            case events.Notice() | events.Step():
                self._screen.print(f"    {printable(event.message)}")
            case events.RoundClosed():
                self._screen.print(f"    {printable(round_line(event.record, self.current.rounds))}")
            case events.Progress() | events.Exited() | events.Renewed() | events.Ended():
                pass


class LiveSeries(Series):
    """A bar for each run. Draws without a thread: programs are started by fork, which threads would not survive."""

    def __init__(self, screen: Console, runs: int) -> None:
        super().__init__(screen, runs)
        self._live = Live(console=screen, auto_refresh=False)
        self._told: set[str] = set()

    def __enter__(self) -> Self:
        """Begin to draw."""
        self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Leave the last drawing on the screen."""
        self._live.stop()

    def show(self, event: events.Event) -> None:
        """Take one event in and draw."""
        self.take(event)
        if isinstance(event, events.Notice) and event.message not in self._told:
            self._told.add(event.message)
            self._live.console.print(printable(event.message), style="yellow")
        self._live.update(self._drawing(), refresh=True)

    def _drawing(self) -> Table:
        grid = Table.grid(padding=(0, 1))
        for line in self._lines:
            bar = ProgressBar(total=line.rounds, completed=line.round, width=_BAR)
            facts = Text(line.facts, style="" if line.round else "dim", no_wrap=True, overflow="ellipsis")
            grid.add_row(Text(line.place), Text(printable(line.label)), bar, Text(f"{line.round}/{line.rounds}"), facts)
        return grid
