"""What a simulation came to: a table for people, and JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from rich.table import Table

from shieldwall.cli.terminal import printable
from shieldwall.lab.simulation import last
from shieldwall.local.standing import Standing

if TYPE_CHECKING:
    from collections.abc import Sequence

    from shieldwall.lab.simulation import Row, Simulation


def result_table(rows: Sequence[Row]) -> Table:
    """One line for each defence under each attack; in percent, and points lost against the same without attackers."""
    calm = {row.defence.label: row.accuracy for row in rows if not row.bands}
    lines = [_cells(row, calm.get(row.defence.label)) for row in rows]
    widths = [
        max(len(part) for cells in [_COLUMNS, *lines] for part in cells[place].split("\n"))
        for place in range(len(_COLUMNS))
    ]
    # As wide as it is, whatever the terminal: a number, or a name, cut short is another one.
    whole = sum(widths) + len(widths) - 1
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0), header_style="bold", width=whole)
    for place, name in enumerate(_COLUMNS):
        table.add_column(name, justify="left" if place < _NAMES else "right", no_wrap=True, min_width=widths[place])
    for cells in lines:
        table.add_row(*cells)
    return table


def _cells(row: Row, calm: float | None) -> tuple[str, ...]:
    return (
        "\n".join(map(str, row.bands)) or "none",
        printable(row.defence.label),
        _percent(row),
        _lost(row, calm),
        "–" if row.success is None else f"{100 * row.success:.1f}",
        _out(row, attackers=True) if row.bands else "–",
        _out(row, attackers=False),
        _against(row),
        f"{row.seconds:.1f}s",
    )


def _percent(row: Row) -> str:
    if row.accuracy is None:
        return "no model"
    spread = f" ± {100 * row.deviation:.1f}" if len(row.accuracies) > 1 else ""
    return f"{100 * row.accuracy:.1f}{spread}"


def _lost(row: Row, calm: float | None) -> str:
    if not row.bands or calm is None or row.accuracy is None:
        return "–"
    return f"{100 * (calm - row.accuracy):.1f}".replace("-", "−")


def _out(row: Row, *, attackers: bool) -> str:
    """How many replies did not count, of how many."""
    counts = row.standings(attackers=attackers)
    return f"{counts.total() - counts[Standing.OK] - row.against(attackers=attackers)}/{counts.total()}"


def _against(row: Row) -> str:
    """Of attackers, and of the others."""
    rest = row.against(attackers=False)
    return f"{row.against(attackers=True)} + {rest}" if row.bands else str(rest)


_COLUMNS: Final = ("attackers", "rule", "accuracy", "lost", "success", "liars out", "rest out", "against", "time")
_NAMES: Final = 2
"""So many columns are words; the others are numbers."""
LEGEND: Final = (
    "percent; lost: accuracy; success: of the trigger; NNM: mixed first\n"
    "out: refused, banned, absent or not selected; against: liars + others that counted and point against the step"
)


def as_json(simulation: Simulation, rows: Sequence[Row]) -> dict[str, object]:
    """For programs: everything of the table, seed by seed."""
    return {
        "version": 1,
        "training": simulation.training.name,
        "alpha": None if simulation.alpha is None else str(simulation.alpha),
        "seeds": simulation.seeds,
        "rows": [_row(row) for row in rows],
    }


def _row(row: Row) -> dict[str, object]:
    return {
        "attackers": {name: kind.value for name, kind in row.attackers.items()},
        "rule": row.defence.policy.aggregation.rule.value,
        "byzantine": row.defence.policy.aggregation.byzantine,
        "protected": row.defence.protected,
        "accuracy": row.accuracy,
        "accuracies": [last(trial, "accuracy") for trial in row.trials],
        "attackSuccess": row.success,
        "replies": {who: _counted(row, attackers=who == "attackers") for who in ("attackers", "honest")},
        "seconds": row.seconds,
        "messages": [trial.message for trial in row.trials],
        "losses": [trial.losses for trial in row.trials],
    }


def _counted(row: Row, *, attackers: bool) -> dict[str, int]:
    counts, against = row.standings(attackers=attackers), row.against(attackers=attackers)
    counts[Standing.OUTVOTED] -= against
    return {standing.value: counts[standing] for standing in Standing} | {"against": against}
