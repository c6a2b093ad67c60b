"""``shieldwall simulate``: a training's rule against attacks, in this process."""

from __future__ import annotations

import json
import math
import sys
import tempfile
from contextlib import chdir, redirect_stdout
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from rich.table import Table

from shieldwall.cli.exit_codes import ExitCode
from shieldwall.cli.places import BadPlaceError, require_report
from shieldwall.cli.terminal import console, printable
from shieldwall.cli.training_file import BadFileError, read_training
from shieldwall.cli.unexpected import told
from shieldwall.cli.validate import Output, show_problems
from shieldwall.cli.views.simulated import LEGEND, as_json, result_table
from shieldwall.cli.views.waiting import Waiting
from shieldwall.contract.policy import FEWEST_FOR_BANS
from shieldwall.lab.attacks import PLANS
from shieldwall.lab.loaders import NothingToPoisonError
from shieldwall.lab.outcome import outcomes
from shieldwall.lab.roster import parse_bands
from shieldwall.lab.simulation import Simulation, UnfitTrainingError
from shieldwall.lab.user_app import importable
from shieldwall.local.attacks import InvalidAttackError, TooManyAttackersError
from shieldwall.local.report import write_report
from shieldwall.runtime.aggregation import UnsoundPolicyError
from shieldwall.runtime.contribution.conduct import FIRST_ROUND
from shieldwall.runtime.federation.strategies import UnsafeStrategyError
from shieldwall.runtime.flower.references import ReferenceNotFoundError
from shieldwall.runtime.flower.secure_aggregation import HiddenUpdatesError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from shieldwall.contract.policy import Rule
    from shieldwall.lab.simulation import Row


_BANS: Final = (
    f"Free-riders are banned as in a cluster: with {FEWEST_FOR_BANS} clients or more, from round {FIRST_ROUND} on, by"
    " spec.contribution."
)


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
    screen = console()
    screen.print(table)
    screen.print(_BANS, style="dim")
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
    simulation = Simulation(training, attacks, options.rules, options.alpha, options.seeds, options.rounds)
    simulation.check()
    return simulation


def _run_and_show(simulation: Simulation, options: SimulateOptions) -> int:
    try:
        rows = _run(simulation, options)
    except (ReferenceNotFoundError, NothingToPoisonError, HiddenUpdatesError, UnsafeStrategyError) as error:
        return _unfit(f"{_blamed(error)}{error}")
    except KeyboardInterrupt:
        console(stderr=True).print("interrupted")
        return ExitCode.INTERRUPTED
    report = write_report(outcomes(simulation, rows), options.report).html if options.report is not None else None
    if options.json:
        sys.stdout.write(json.dumps(as_json(simulation, rows), indent=1, ensure_ascii=False) + "\n")
    else:
        _show(simulation, rows, report)
    held = all(not trial.message for row in rows if row.defence.protected for trial in row.trials)
    return ExitCode.DONE if held else ExitCode.FAILED


def _blamed(error: Exception) -> str:
    """What has to change, where the error does not say it itself."""
    match error:
        case NothingToPoisonError():
            return "--attack: "
        case UnsafeStrategyError():
            return "spec.app.serverApp: "
        case HiddenUpdatesError():
            return "spec.app.clientApp: "
        case _:
            return ""


def _show(simulation: Simulation, rows: Sequence[Row], report: Path | None) -> None:
    screen = console()
    screen.print(_title(simulation), style="bold")
    screen.print(result_table(rows), crop=False)  # a narrow terminal wraps lines, and nothing is cut off them
    screen.print(LEGEND, style="dim")
    for row in rows:
        failed = next((trial.message for trial in row.trials if trial.message), None)
        lost = next((trial.losses for trial in row.trials if trial.losses), None)
        if failed is not None:
            screen.print(printable(f"{row.label}: did not finish: {failed}"), style="yellow")
        elif lost is not None:
            screen.print(printable(f"{row.label}: {lost}"), style="yellow")
    if report is not None:
        screen.print(f"report: {report}")


def _run(simulation: Simulation, options: SimulateOptions) -> list[Row]:
    app = options.file.resolve().parent
    # What the user's code prints is not the result; where it writes files is not here.
    elsewhere = tempfile.TemporaryDirectory(prefix="shieldwall-app-")
    with elsewhere as directory, importable(app), chdir(directory), redirect_stdout(sys.stderr):
        if options.json:
            return list(simulation.run(datetime.now(UTC), lambda _: None))
        with Waiting(console(stderr=True)) as waiting:
            return list(simulation.run(datetime.now(UTC), lambda text: waiting.show(printable(text))))


def _title(simulation: Simulation) -> str:
    spec, alpha = simulation.training.spec, simulation.alpha
    skew = "" if alpha is None else f" · α = {'∞' if math.isinf(alpha) else f'{alpha:g}'}"
    seeds = f"{simulation.seeds} seed{'s' if simulation.seeds > 1 else ''}"
    rounds = f"{spec.rounds.count} round{'s' if spec.rounds.count > 1 else ''}"
    return printable(f"{simulation.training.name} · {len(spec.clients)} clients · {rounds}{skew} · {seeds}")


def _unfit(sentence: str) -> ExitCode:
    console(stderr=True).print(printable(sentence), style="red")
    return ExitCode.BAD_INPUT
