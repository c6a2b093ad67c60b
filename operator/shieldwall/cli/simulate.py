"""``shieldwall simulate``: a training's rule against attacks, in this process."""

from __future__ import annotations

import json
import math
import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from rich.table import Table

from shieldwall.cli.exit_codes import ExitCode
from shieldwall.cli.places import BadPlaceError, require_report
from shieldwall.cli.terminal import console, printable
from shieldwall.cli.training_file import BadFileError, read_training
from shieldwall.cli.unexpected import told
from shieldwall.cli.validate import Output, show_problems
from shieldwall.cli.views.simulated import as_json, result_table
from shieldwall.cli.views.waiting import Waiting
from shieldwall.lab.attacks import PLANS
from shieldwall.lab.loaders import NothingToPoisonError
from shieldwall.lab.outcome import outcomes
from shieldwall.lab.roster import parse_bands
from shieldwall.lab.simulation import Simulation, UnfitTrainingError
from shieldwall.lab.user_app import importable
from shieldwall.local.attacks import InvalidAttackError, TooManyAttackersError
from shieldwall.local.report import write_report
from shieldwall.runtime.aggregation import UnsoundPolicyError
from shieldwall.runtime.flower.references import ReferenceNotFoundError

if TYPE_CHECKING:
    from pathlib import Path

    from shieldwall.contract.policy import Rule
    from shieldwall.lab.simulation import Row


@dataclass(frozen=True, slots=True)
class SimulateOptions:
    """The command line."""

    file: Path
    attacks: tuple[str, ...]
    alpha: float | None
    seeds: int
    rules: tuple[Rule, ...]
    rounds: int | None
    report: Path | None
    json: bool


def list_attacks() -> ExitCode:
    """Print every kind of attack and what it does."""
    table = Table("kind", "goal", "what attackers send", box=None, pad_edge=False, header_style="bold")
    for kind, plan in PLANS.items():
        table.add_row(kind.value, plan.goal.value, plan.what)
    console().print(table)
    return ExitCode.DONE


def simulate(options: SimulateOptions) -> ExitCode | int:
    """Check everything that can be checked, then run; the exit code."""
    try:
        simulation = _ordered(options)
    except BadFileError as error:
        show_problems(error, Output.JSON if options.json else Output.TEXT)
        return ExitCode.BAD_INPUT
    except (InvalidAttackError, TooManyAttackersError) as error:
        return _unfit(f"--attack: {error}")
    except UnsoundPolicyError as error:
        return _unfit(f"--rule: {error}")
    except (UnfitTrainingError, BadPlaceError) as error:
        return _unfit(str(error))
    return told(lambda: _run_and_show(simulation, options))


def _ordered(options: SimulateOptions) -> Simulation:
    training = read_training(options.file, options.rounds)
    if options.alpha is not None and not options.alpha > 0:  # NaN is not
        raise UnfitTrainingError("--alpha", f"must be above 0, and {options.alpha:g} is not")
    if options.report is not None:
        require_report("--report", options.report)
    attacks = parse_bands(options.attacks, training.spec.aggregation.tolerated)
    simulation = Simulation(training, attacks, options.rules, options.alpha, options.seeds)
    simulation.check()
    return simulation


def _run_and_show(simulation: Simulation, options: SimulateOptions) -> int:
    try:
        rows = _run(simulation, options)
    except (ReferenceNotFoundError, NothingToPoisonError) as error:
        where = "--attack: " if isinstance(error, NothingToPoisonError) else ""
        return _unfit(f"{where}{error}")
    except KeyboardInterrupt:
        console(stderr=True).print("interrupted")
        return ExitCode.INTERRUPTED
    if options.report is not None:
        files = write_report(outcomes(simulation, rows), options.report)
    if options.json:
        sys.stdout.write(json.dumps(as_json(simulation, rows), indent=1, ensure_ascii=False) + "\n")
    else:
        screen = console()
        screen.print(_title(simulation), style="bold")
        screen.print(result_table(rows))
        screen.print(
            "in percent: accuracy at the end, points lost to the attackers, what their trigger obtained;", style="dim"
        )
        screen.print("out: replies that the checks or the rule left out, of all", style="dim")
        for row in rows:
            for trial in row.trials:
                if trial.message:
                    screen.print(printable(f"{row.label}: did not finish: {trial.message}"), style="yellow")
                    break
        if options.report is not None:
            screen.print(f"report: {files.html}")
    held = all(not trial.message for row in rows if row.defence.protected for trial in row.trials)
    return ExitCode.DONE if held else ExitCode.FAILED


def _run(simulation: Simulation, options: SimulateOptions) -> list[Row]:
    with importable(options.file.resolve().parent):
        if options.json:
            return list(simulation.run(datetime.now(UTC), lambda _: None))
        with Waiting(console(stderr=True)) as waiting:
            return list(simulation.run(datetime.now(UTC), lambda text: waiting.show(printable(text))))


def _title(simulation: Simulation) -> str:
    spec, alpha = simulation.training.spec, simulation.alpha
    skew = "" if alpha is None else f" · α = {'∞' if math.isinf(alpha) else f'{alpha:g}'}"
    seeds = f"{simulation.seeds} seed{'s' if simulation.seeds > 1 else ''}"
    return printable(
        f"{simulation.training.name} · {len(spec.clients)} clients · {spec.rounds.count} rounds{skew} · {seeds}"
    )


def _unfit(sentence: str) -> ExitCode:
    console(stderr=True).print(printable(sentence), style="red")
    return ExitCode.BAD_INPUT
