"""A simulation as the report of local mode tells it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from shieldwall.lab.simulation import last, measured
from shieldwall.local.outcome import End, RunOutcome, Timings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from shieldwall.lab.run import Trial
    from shieldwall.lab.simulation import Row, Simulation


def outcomes(simulation: Simulation, rows: Sequence[Row]) -> list[RunOutcome]:
    """One run for each row: the trial whose accuracy is the median of the seeds'."""
    return [_outcome(simulation, row) for row in rows]


def _outcome(simulation: Simulation, row: Row) -> RunOutcome:
    trial = median_trial(row)
    aggregation = row.defence.policy.aggregation
    several = f" (median of {len(row.trials)} seeds)" if len(row.trials) > 1 else ""
    return RunOutcome(
        training=simulation.training.name,
        label=f"{row.label}{several}",
        protected=row.defence.protected,
        end=End.FAILED if trial.message else End.COMPLETED,
        message=trial.message or _completed(trial),
        clients=tuple(client.name for client in row.defence.policy.clients),
        attackers={name: kind.value for name, kind in row.attackers.items()},
        rule=aggregation.rule.value,
        byzantine=aggregation.byzantine,
        status=None,
        records=measured(trial),
        certificates=(),
        containers=(),
        timings=Timings(total=trial.seconds),
        model=None,
        isolation="not at all: a simulation in one process, without pods",
        started=trial.records[0].opened if trial.records else 0.0,
    )


def _completed(trial: Trial) -> str:
    return f"{trial.losses[0].upper()}{trial.losses[1:]}." if trial.losses else "all rounds were released"


def median_trial(row: Row) -> Trial:
    """The trial in the middle by its accuracy; those without a model are the lowest."""
    ordered = sorted(row.trials, key=lambda trial: last(trial, "accuracy") or 0.0)
    return ordered[(len(ordered) - 1) // 2]
