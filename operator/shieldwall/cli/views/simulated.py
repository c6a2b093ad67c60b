"""What a simulation came to: a table for people, and JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.table import Table

from shieldwall.cli.terminal import printable
from shieldwall.lab.simulation import last
from shieldwall.local.standing import Standing

if TYPE_CHECKING:
    from collections.abc import Sequence

    from shieldwall.lab.simulation import Row, Simulation


def result_table(rows: Sequence[Row]) -> Table:
    """One line for each defence under each attack; in percent, and points lost against the same without attackers."""
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0), header_style="bold")
    table.add_column("attackers", overflow="fold")
    table.add_column("rule", no_wrap=True)
    for name in ("accuracy", "lost", "success", "liars out", "rest out", "time"):
        table.add_column(name, justify="right", no_wrap=True)
    calm = {row.defence.label: row.accuracy for row in rows if not row.bands}
    for row in rows:
        table.add_row(
            "\n".join(map(str, row.bands)) or "none",
            printable(row.defence.label),
            _percent(row),
            _lost(row, calm.get(row.defence.label)),
            "–" if row.success is None else f"{100 * row.success:.1f}",
            _out(row, attackers=True) if row.bands else "–",
            _out(row, attackers=False),
            f"{row.seconds:.1f}s",
        )
    return table


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
    return f"{counts[Standing.OUTVOTED] + counts[Standing.REJECTED] + counts[Standing.ABSENT]}/{counts.total()}"


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
        "replies": {
            who: {standing.value: row.standings(attackers=who == "attackers")[standing] for standing in Standing}
            for who in ("attackers", "honest")
        },
        "seconds": row.seconds,
        "messages": [trial.message for trial in row.trials],
        "losses": [trial.losses for trial in row.trials],
    }
