"""``shieldwall simulate --privacy-attack``: a training's privacy against attacks, in this process."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

from shieldwall.cli.exit_codes import ExitCode
from shieldwall.cli.places import BadPlaceError, require_directory
from shieldwall.cli.terminal import console, printable
from shieldwall.cli.training_file import BadFileError, read_training
from shieldwall.cli.unexpected import told
from shieldwall.cli.validate import Output, show_problems
from shieldwall.cli.views.attacked import as_json, found_table
from shieldwall.cli.views.waiting import Waiting
from shieldwall.lab.privacy.attack import PrivacyTrial
from shieldwall.lab.privacy.auditing import NoAuditError
from shieldwall.lab.privacy.clients import NoModelError
from shieldwall.lab.privacy.pictures import draw
from shieldwall.lab.simulation import UnfitTrainingError
from shieldwall.runtime.privacy.errors import UnsoundPrivacyError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from shieldwall.lab.privacy.attack import Found
    from shieldwall.lab.privacy.kinds import AttackedTask, PrivacyAttack


@dataclass(frozen=True, slots=True)
class PrivacyAttackOptions:
    """The command line."""

    file: Path
    attack: PrivacyAttack
    task: AttackedTask
    seeds: int
    rounds: int | None
    output: Path | None
    json: bool


def attack_privacy(options: PrivacyAttackOptions) -> ExitCode | int:
    """Check what can be checked, then attack; exits with 1 where an attack shows more than was promised."""
    try:
        trial = PrivacyTrial.of(
            read_training(options.file, options.rounds), options.attack, options.task, options.seeds
        )
        if options.output is not None:
            require_directory("--output", options.output)
    except BadFileError as error:
        show_problems(error, Output.JSON if options.json else Output.TEXT)
        return ExitCode.BAD_INPUT
    except (UnfitTrainingError, BadPlaceError) as error:
        return _unfit(str(error))
    return told(lambda: _run_and_show(trial, options))


def _run_and_show(trial: PrivacyTrial, options: PrivacyAttackOptions) -> ExitCode:
    try:
        found = _run(trial, quiet=options.json)
    except (NoAuditError, UnsoundPrivacyError) as error:
        return _unfit(f"spec.privacy: {error}")
    except NoModelError as error:
        console(stderr=True).print(printable(f"a training did not finish: {error}"), style="red")
        return ExitCode.FAILED
    except KeyboardInterrupt:
        console(stderr=True).print("interrupted")
        return ExitCode.INTERRUPTED
    drawn = draw(found, options.output) if options.output is not None else []
    text = json.dumps(as_json(trial, found), indent=1, ensure_ascii=False) + "\n"
    if options.output is not None:
        (options.output / f"{options.attack}.json").write_text(text, encoding="utf-8")
    if options.json:
        sys.stdout.write(text)
    else:
        _show(trial, found, drawn)
    return ExitCode.DONE if all(one.holds for one in found) else ExitCode.FAILED


def _run(trial: PrivacyTrial, *, quiet: bool) -> list[Found]:
    if quiet:
        return list(trial.run(lambda _: None))
    with Waiting(console(stderr=True)) as waiting:
        return list(trial.run(lambda text: waiting.show(printable(text))))


def _show(trial: PrivacyTrial, found: Sequence[Found], drawn: Sequence[Path]) -> None:
    screen = console()
    table, legend = found_table(found)
    clients = f"{len(trial.policy.clients)} clients · {trial.policy.rounds.count} rounds"
    screen.print(printable(f"{trial.training} · {clients} · {trial.task} · {trial.attack}"), style="bold")
    screen.print(table)
    screen.print(legend, style="dim")
    if not all(one.holds for one in found):
        screen.print("an attack shows more than was promised, or none at all without noise", style="red")
    for path in drawn:
        screen.print(printable(f"picture: {path}"))


def _unfit(sentence: str) -> ExitCode:
    console(stderr=True).print(printable(sentence), style="red")
    return ExitCode.BAD_INPUT
