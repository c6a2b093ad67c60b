"""``shieldwall certs``: each certificate of a training, until when it is valid and whether it is in use."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

from rich.table import Table
from rich.text import Text

from shieldwall.cli.certificate_rows import CertificateRow, State, rows_of
from shieldwall.cli.exit_codes import ExitCode
from shieldwall.cli.kube import Target, ask, open_cluster
from shieldwall.cli.leaves import read_leaves
from shieldwall.cli.seen import SeenTraining, see
from shieldwall.cli.terminal import console, printable
from shieldwall.cli.validate import Output
from shieldwall.control.plan.names import Names
from shieldwall.control.status.text import rfc3339
from shieldwall.pki.serials import short_serial

if TYPE_CHECKING:
    from collections.abc import Sequence

_HEADINGS: Final = ("SUBJECT", "SERIAL", "EXPIRES", "RENEWS", "ISSUER", "SERVED", "STATE")
_WIDTH: Final = 160
"""Of the widest table. A narrower terminal breaks its lines; ``grep`` gets whole ones."""
_NOTHING: Final = "–"
_SERVED: Final = {True: "yes", False: "no", None: "unknown"}
_STYLES: Final = {State.OK: "green", State.EXPIRED: "red", State.NOT_ISSUED: "red"}
_UNITS: Final = ((timedelta(days=2), timedelta(days=1), "d"), (timedelta(hours=3), timedelta(hours=1), "h"),
                 (timedelta(minutes=2), timedelta(minutes=1), "m"))  # fmt: skip


def certs(name: str, target: Target, output: Output) -> int:
    """Print the table; the exit code."""
    return ask(lambda: _certs(name, target, output))


async def _certs(name: str, target: Target, output: Output) -> ExitCode:
    async with open_cluster(target) as cluster:
        training = await see(cluster, name)
        leaves = await read_leaves(cluster, training, training.untold)
    now = datetime.now(UTC)
    rows = rows_of(training, leaves or {}, now)
    if output is Output.JSON:
        console().print(json.dumps(document(training, rows), ensure_ascii=False))
        return ExitCode.DONE
    screen = console()
    screen.width = max(screen.width, _WIDTH)
    screen.print(table(training, rows, now))
    for line in remarks(training, len(rows), unknown=any(row.state is State.UNKNOWN for row in rows)):
        screen.print(printable(line))
    return ExitCode.DONE


def table(training: SeenTraining, rows: Sequence[CertificateRow], now: datetime) -> Table:
    """Subject, serial, times from now, issuer, use, state."""
    shown = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0), header_style="dim")
    for heading in _HEADINGS:
        shown.add_column(heading, no_wrap=True)
    for row in rows:
        issuer = f"{Names(training.name).authority} {short(row.issuer)}" if row.issuer else _NOTHING
        cells = (
            printable(row.subject),
            short(row.serial),
            _from_now(row.not_after, now),
            _from_now(row.renewal, now),
            printable(issuer),
            _SERVED[row.served] if row.serial else _NOTHING,
        )
        shown.add_row(*cells, Text(row.state.value, _STYLES.get(row.state, "yellow")))
    return shown


def remarks(training: SeenTraining, shown: int, *, unknown: bool = False) -> list[str]:
    """What the table does not say; ``unknown``: whether of some it is not known if they were issued."""
    lines = []
    if unknown:
        lines.append(
            "Status does not tell which certificates were issued: to read them takes the right to get Secrets in"
            f" namespace {training.namespace}."
        )
    if shown < len(training.subjects):
        lines.append(
            f"{shown} of {len(training.subjects)} certificates, those that most need a look or are renewed next:"
            f" to read the others takes the right to get Secrets in namespace {training.namespace}."
        )
    if training.condition is None:
        lines.append("No operator has reported on this training yet.")
    else:
        lines.append(training.condition.message)
    if training.pending:
        lines.append(f"Requested and not yet carried out: {', '.join(training.pending)}.")
    if training.paused:
        lines.append("The training is paused: nothing is renewed.")
    return lines


def document(training: SeenTraining, rows: Sequence[CertificateRow]) -> dict[str, object]:
    """The same for programs: times absolute, serial numbers whole, null for what is not known."""
    return {
        "training": training.name,
        "namespace": training.namespace,
        "total": len(training.subjects),
        "certificates": [
            {
                "subject": row.subject,
                "serial": row.serial,
                "notAfter": rfc3339(row.not_after) if row.not_after else None,
                "renewal": rfc3339(row.renewal) if row.renewal else None,
                "issuer": row.issuer,
                "served": row.served,
                "state": row.state.value,
            }
            for row in rows
        ],
        "message": training.condition.message if training.condition else None,
        "requested": list(training.pending),
        "paused": training.paused,
    }


def short(serial: str | None) -> str:
    """A serial number as people tell it from another; ``–`` for none."""
    return short_serial(serial) if serial else _NOTHING


def _from_now(moment: datetime | None, now: datetime) -> str:
    """``23h``, ``2h ago``; ``–`` for a time that is not known."""
    if moment is None:
        return _NOTHING
    return duration(moment - now) if moment >= now else f"{duration(now - moment)} ago"


def duration(span: timedelta) -> str:
    """A positive span in whole days, hours, minutes or seconds, so that two digits say it: 30d, 23h, 40m, 90s."""
    for least, unit, letter in _UNITS:
        if span >= least:
            return f"{span // unit}{letter}"
    return f"{span // timedelta(seconds=1)}s"
