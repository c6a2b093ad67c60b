"""``shieldwall run``: one training on this machine, shown live, with a report at its end."""

from __future__ import annotations

import asyncio
import sys
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

from shieldwall.cli.exit_codes import ExitCode
from shieldwall.cli.places import BadPlaceError, require_directory, require_report
from shieldwall.cli.terminal import console, printable
from shieldwall.cli.training_file import BadFileError, read_training
from shieldwall.cli.unexpected import told
from shieldwall.cli.validate import Output, show_problems
from shieldwall.cli.views import lines, live, plain
from shieldwall.local.attacks import Attack, InvalidAttackError, TooManyAttackersError, assign
from shieldwall.local.cluster.addresses import NoFreeBlockError
from shieldwall.local.desk import ForeignDirectoryError
from shieldwall.local.guard import guarded
from shieldwall.local.layout import StrangeDirectoryError
from shieldwall.local.outcome import End
from shieldwall.local.preflight import MissingModuleError, SuspendedTrainingError
from shieldwall.local.report import write_report
from shieldwall.local.runner import Job, run_training

if TYPE_CHECKING:
    from shieldwall.control.api.training import Training
    from shieldwall.local.outcome import RunOutcome

_RUNS: Final = "shieldwall-runs"
_UNFIT: Final = (
    NoFreeBlockError,
    ForeignDirectoryError,
    MissingModuleError,
    StrangeDirectoryError,
    SuspendedTrainingError,
)
"""Why nothing was started."""


@dataclass(frozen=True, slots=True)
class RunOptions:
    """The command line."""

    file: Path
    attacks: tuple[str, ...]
    keep: Path | None
    report: Path | None
    rounds: int | None
    json: bool


def run(options: RunOptions) -> ExitCode | int:
    """Check everything that can be checked, then run; the exit code."""
    try:
        training = read_training(options.file, options.rounds)
        attacks = tuple(Attack.parse(text) for text in options.attacks)
        assign([client.name for client in training.spec.clients], attacks)
    except BadFileError as error:
        show_problems(error, Output.JSON if options.json else Output.TEXT)
        return ExitCode.BAD_INPUT
    except (InvalidAttackError, TooManyAttackersError) as error:
        console(stderr=True).print(f"--attack: {printable(str(error))}", style="red")
        return ExitCode.BAD_INPUT
    results = options.keep or Path(_RUNS) / f"{training.name}-{datetime.now(UTC):%Y%m%d-%H%M%S}"
    report = options.report or results / "report.html"
    try:
        require_directory("--keep", results)
        require_report("--report", report)
    except BadPlaceError as error:
        console(stderr=True).print(printable(str(error)), style="red")
        return ExitCode.BAD_INPUT
    job = Job(
        training=training,
        app=options.file.resolve().parent,
        results=results.resolve(),
        label=label(training, attacks),
        attacks=attacks,
        keep=options.keep.resolve() if options.keep is not None else None,
    )
    return guarded(lambda: told(lambda: _run_and_report(job, report, json=options.json)))


def label(training: Training, attacks: tuple[Attack, ...]) -> str:
    """A run in a few words."""
    against = ", ".join(str(attack) for attack in attacks) or "no attackers"
    return f"{training.spec.aggregation.rule.value}, {against}"


def _run_and_report(job: Job, report: Path, *, json: bool) -> int:
    try:
        outcome = _run_with_view(job, json=json)
    except _UNFIT as error:
        console(stderr=True).print(f"shieldwall: {printable(str(error))}", style="red")
        return ExitCode.BAD_INPUT
    files = write_report((outcome,), report)
    if not json:
        screen = console()
        for line in plain.closing(outcome):
            screen.print(line)
        screen.print(f"report: {files.html}")
    return exit_code(outcome)


def _run_with_view(job: Job, *, json: bool) -> RunOutcome:
    if json:
        return asyncio.run(run_training(job, lines.show))
    screen = console()
    view = live.LiveView(screen) if sys.stdout.isatty() else nullcontext(plain.PlainView(screen))
    with view as shown:
        return asyncio.run(run_training(job, shown.show))


def exit_code(outcome: RunOutcome) -> ExitCode:
    """The command's exit code after a run."""
    codes = {End.COMPLETED: ExitCode.DONE, End.FAILED: ExitCode.FAILED, End.INTERRUPTED: ExitCode.INTERRUPTED}
    return codes[outcome.end]
