"""A run on a terminal: one header, one table of clients, drawn again whenever something happens."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Self

from rich.console import Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from shieldwall.cli.terminal import printable
from shieldwall.cli.views.phrases import epsilon, exited_line, metrics, number
from shieldwall.contract.records import Outcome
from shieldwall.local import events
from shieldwall.local.standing import FATE_SENTENCES, Standing, standing_of

if TYPE_CHECKING:
    from types import TracebackType

    from rich.console import Console, RenderableType

    from shieldwall.contract.records import ReplyRecord, RoundRecord, StewardStatus

_STYLES: Final = {
    Standing.OK: "green",
    Standing.OUTVOTED: "yellow",
    Standing.REJECTED: "red",
    Standing.ABSENT: "dim",
}
_WORST_FIRST: Final = (Standing.REJECTED, Standing.OUTVOTED, Standing.ABSENT, Standing.OK)
_BAR: Final = 24
_NEWS: Final = 3


class LiveView:
    """Draws without a thread of its own: programs are started by fork, which threads would not survive."""

    def __init__(self, screen: Console) -> None:
        self._live = Live(console=screen, auto_refresh=False, transient=False)
        self._began: events.Began | None = None
        self._step = ""
        self._news: list[str] = []
        self._status: StewardStatus | None = None
        self._last: RoundRecord | None = None

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
        match event:
            case events.Began():
                self._began = event
            case events.Step():
                self._step = event.message
            case events.Notice():
                self._live.console.print(printable(event.message), style="yellow")
            case events.Exited():
                self._news = [*self._news, exited_line(event)][-_NEWS:]
            case events.Renewed():
                self._news = [*self._news, f"renewed: {event.subject}, serial {event.serial}"][-_NEWS:]
            case events.Progress():
                self._status = event.status
            case events.RoundClosed():
                self._last = event.record
            case events.Ended():
                self._news = []
                self._step = ""
        self._live.update(self._drawing(), refresh=True)

    def _drawing(self) -> RenderableType:
        parts: list[RenderableType] = [self._header()]
        if self._began is not None and (self._last is not None or self._status is not None):
            parts.append(client_table(self._began, self._status, self._last, self._live.console.width))
        parts.extend(
            Text(f"  {printable(line)}", style="dim", no_wrap=True, overflow="ellipsis") for line in self._news
        )
        return Group(*parts)

    def _header(self) -> RenderableType:
        if self._began is None:
            return Text("")
        done = self._status.round if self._status is not None else 0
        title = Text(printable(f"{self._began.training} · {self._began.label}"), style="bold")
        grid = Table.grid(padding=(0, 1))
        bar = ProgressBar(total=self._began.rounds, completed=done, width=_BAR)
        facts = Text(self._facts(), style="cyan", no_wrap=True, overflow="ellipsis")
        grid.add_row(Text(" "), bar, Text(f"round {done}/{self._began.rounds}", no_wrap=True), facts)
        return Group(title, grid)

    def _facts(self) -> str:
        if self._last is None or self._last.outcome is not Outcome.RELEASED:
            return printable(self._status.message if self._status is not None else self._step)
        last = self._last
        parts = (metrics(last.metrics), epsilon(last), f"{last.admitted} of {len(last.replies)} admitted")
        return " · ".join(part for part in parts if part)


def client_table(
    began: events.Began, status: StewardStatus | None, last: RoundRecord | None, width: int
) -> RenderableType:
    """Each client's state and its part in the last round."""
    replies = {reply.client: reply for reply in last.replies} if last is not None else {}
    rule = last.rule if last is not None else ""
    online = {client.name: client.online for client in status.clients} if status is not None else {}
    rows = [
        _cells(name, replies.get(name), online.get(name, False), began.attackers.get(name), rule)
        for name in began.clients
    ]
    columns = 2 if width >= 110 and len(rows) > 1 else 1  # noqa: PLR2004  # two tables of 50 characters side by side
    table = Table.grid(padding=(0, 2))
    height = -(-len(rows) // columns)
    for line in range(height):
        cells: list[Text] = [Text("")]
        for row in rows[line::height]:
            cells.extend(row)
        table.add_row(*cells)
    return table


def _cells(name: str, reply: ReplyRecord | None, online: bool, attack: str | None, rule: str) -> list[Text]:  # noqa: FBT001  # a fact
    title = Text(printable(name))
    if attack is not None:
        title.append(f" ({printable(attack)})", style="dim")
    if reply is None:
        return [title, Text("online" if online else "offline", style="" if online else "dim"), Text("")]
    standing = standing_of(reply, rule)
    return [title, Text(standing.value, style=_STYLES[standing]), _detail(reply, standing)]


def _detail(reply: ReplyRecord, standing: Standing) -> Text:
    if standing in {Standing.REJECTED, Standing.ABSENT}:
        why = printable(reply.detail or FATE_SENTENCES[reply.fate])
        return Text(why, style="dim", no_wrap=True, overflow="ellipsis")
    norm = f"norm {number(reply.norm)}" if reply.norm is not None else ""
    cosine = f"cos {number(reply.cosine)}" if reply.cosine is not None else ""
    return Text(f"{norm}  {cosine}".strip(), no_wrap=True, overflow="ellipsis")
