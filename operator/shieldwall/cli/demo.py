"""``shieldwall demo``: the same training three times, and what protection changes."""

from __future__ import annotations

import asyncio
import sys
import time
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from rich.table import Table

from shieldwall.cli.exit_codes import ExitCode
from shieldwall.cli.places import BadPlaceError, require_directory
from shieldwall.cli.terminal import console, printable
from shieldwall.cli.training_file import BadFileError, read_training
from shieldwall.cli.unexpected import told
from shieldwall.cli.validate import Output, show_problems
from shieldwall.cli.views.phrases import number
from shieldwall.cli.views.series import LiveSeries, PlainSeries
from shieldwall.local.attackers import AttackKind
from shieldwall.local.attacks import Attack, TooManyAttackersError, assign
from shieldwall.local.cluster.addresses import NoFreeBlockError
from shieldwall.local.guard import guarded
from shieldwall.local.outcome import End
from shieldwall.local.preflight import MissingModuleError, SuspendedTrainingError
from shieldwall.local.report import write_report
from shieldwall.local.report.facts import totals
from shieldwall.local.report.sentences import comparison, seconds
from shieldwall.local.runner import Job, run_training
from shieldwall.local.standing import Standing

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

    from shieldwall.control.api.training import Training
    from shieldwall.local.outcome import RunOutcome

_EXAMPLE: Final = Path("examples", "digits", "training.yaml")
_ATTACKERS: Final = Attack(AttackKind.SIGN_FLIP, 2)


@dataclass(frozen=True, slots=True)
class Act:
    """One of the three runs."""

    directory: str
    label: str
    attacks: tuple[Attack, ...]
    protected: bool


ACTS: Final = (
    Act("1-unprotected", f"FedAvg, no protection, {_ATTACKERS}", (_ATTACKERS,), protected=False),
    Act("2-attacked", f"Shieldwall, the same {_ATTACKERS.count} attackers", (_ATTACKERS,), protected=True),
    Act("3-calm", "Shieldwall, no attackers", (), protected=True),
)


def find_example() -> Path:
    """The digits example: below the working directory, or in the checkout that this package is installed from."""
    for base in (Path(), *Path(__file__).resolve().parents):
        if (base / _EXAMPLE).is_file():
            return base / _EXAMPLE
    return _EXAMPLE


def demo(rounds: int, output: Path, file: Path | None) -> ExitCode | int:
    """Run the three acts; the exit code."""
    path = file or find_example()
    try:
        training = read_training(path, rounds)
        assign([client.name for client in training.spec.clients], [_ATTACKERS])
        require_directory("--output", output)
    except BadFileError as error:
        show_problems(error, Output.TEXT)
        return ExitCode.BAD_INPUT
    except (TooManyAttackersError, BadPlaceError) as error:
        console(stderr=True).print(f"shieldwall demo: {printable(str(error))}", style="red")
        return ExitCode.BAD_INPUT
    return guarded(lambda: told(lambda: _demo(training, path.resolve().parent, output)))


def _demo(training: Training, app: Path, output: Path) -> int:
    screen = console()
    begin = time.monotonic()
    clients, rounds = len(training.spec.clients), training.spec.rounds.count
    screen.print(
        f"Shieldwall demo · {training.name} · {clients} clients · {rounds} rounds · everything on this machine",
        style="bold",
    )
    series = LiveSeries(screen, len(ACTS)) if sys.stdout.isatty() else nullcontext(PlainSeries(screen, len(ACTS)))
    outcomes: list[RunOutcome] = []
    try:
        with series as view:
            for act in ACTS:
                job = _job(act, training, app, output)
                outcomes.append(asyncio.run(run_training(job, view.show)))
                if outcomes[-1].end is not End.COMPLETED:
                    break
    except (NoFreeBlockError, MissingModuleError, SuspendedTrainingError) as error:
        console(stderr=True).print(f"shieldwall demo: {printable(str(error))}", style="red")
        return ExitCode.BAD_INPUT
    files = write_report(outcomes, output / "report.html")
    _close(screen, outcomes, time.monotonic() - begin)
    screen.print(f"report: {files.html}")
    return _exit_code(outcomes)


def _job(act: Act, training: Training, app: Path, output: Path) -> Job:
    return Job(
        training=training,
        app=app,
        results=(output / act.directory).resolve(),
        label=act.label,
        attacks=act.attacks,
        protected=act.protected,
    )


def _close(screen: Console, outcomes: Sequence[RunOutcome], spent: float) -> None:
    screen.print()
    screen.print(closing_table(outcomes))
    sentence = comparison(outcomes)
    if sentence is not None:
        screen.print(sentence)
    for outcome in outcomes:
        if outcome.end is not End.COMPLETED:
            screen.print(f"{outcome.label}: {outcome.end}. {printable(outcome.message)}", style="red")
    screen.print(f"{seconds(spent)} in all")


def closing_table(outcomes: Sequence[RunOutcome]) -> Table:
    """Run, accuracy, and what became of the replies."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column("run", overflow="fold")
    for heading in ("accuracy", "counted", "outvoted", "rejected", "time"):
        table.add_column(heading, justify="right", no_wrap=True)
    for outcome in outcomes:
        counts = totals(outcome)
        table.add_row(
            outcome.label,
            "–" if outcome.accuracy is None else number(outcome.accuracy),
            *(str(counts[standing]) for standing in (Standing.OK, Standing.OUTVOTED, Standing.REJECTED)),
            seconds(outcome.timings.total),
        )
    return table


def _exit_code(outcomes: Sequence[RunOutcome]) -> ExitCode:
    ends = {outcome.end for outcome in outcomes}
    if End.INTERRUPTED in ends:
        return ExitCode.INTERRUPTED
    return ExitCode.FAILED if End.FAILED in ends else ExitCode.DONE
