"""``shieldwall validate``: all that is wrong with a file, in sentences."""

from __future__ import annotations

import json
from enum import StrEnum
from typing import TYPE_CHECKING

from shieldwall.cli.exit_codes import ExitCode
from shieldwall.cli.privacy_words import privacy_rows
from shieldwall.cli.terminal import console, printable, two_columns
from shieldwall.cli.training_file import BadFileError, read_training

if TYPE_CHECKING:
    from pathlib import Path

    from shieldwall.control.api.training import Training


class Output(StrEnum):
    """How results are written."""

    TEXT = "text"
    JSON = "json"


def validate(path: Path, output: Output) -> ExitCode:
    """Check one file and print the result."""
    try:
        training = read_training(path)
    except BadFileError as error:
        show_problems(error, output)
        return ExitCode.BAD_INPUT
    rows = privacy_rows(training.spec)
    if output is Output.JSON:
        told = {"file": str(path), "valid": True, "problems": []}
        console().print(json.dumps(told | ({"privacy": dict(rows)} if rows else {}), ensure_ascii=False))
        return ExitCode.DONE
    screen = console()
    screen.print(f"{printable(str(path))}: valid · {summary(training)}")
    if rows:
        screen.print(two_columns(rows, screen.width))
    return ExitCode.DONE


def summary(training: Training) -> str:
    """A training in one line."""
    spec = training.spec
    rule = f"{spec.aggregation.rule.value}, f = {spec.aggregation.tolerated}"
    return f"{training.name} · {len(spec.clients)} clients · {spec.rounds.count} rounds · {rule}"


def show_problems(error: BadFileError, output: Output) -> None:
    """Print what is wrong: text on standard error's terminal width, or JSON."""
    screen = console()
    if output is Output.JSON:
        problems = [{"field": problem.field, "message": problem.message} for problem in error.problems]
        screen.print(json.dumps({"file": str(error.path), "valid": False, "problems": problems}, ensure_ascii=False))
        return
    count = len(error.problems)
    screen.print(f"{printable(str(error.path))}: {count} problem{'s' if count != 1 else ''}", style="bold red")
    rows = [(problem.field or "the file", problem.message) for problem in error.problems]
    screen.print(two_columns(rows, screen.width))
