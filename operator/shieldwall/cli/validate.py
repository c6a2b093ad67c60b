"""``shieldwall validate``: all that is wrong with a file, in sentences."""

from __future__ import annotations

import json
from enum import StrEnum
from typing import TYPE_CHECKING

from shieldwall.cli.exit_codes import ExitCode
from shieldwall.cli.privacy_words import privacy_rows
from shieldwall.cli.terminal import console, printable, two_columns
from shieldwall.cli.training_file import BadFileError, read_either
from shieldwall.control.api.budget import PrivacyBudget
from shieldwall.control.api.patience import MIN_REPLIES, impatience
from shieldwall.control.api.training import Training

if TYPE_CHECKING:
    from pathlib import Path


class Output(StrEnum):
    """How results are written."""

    TEXT = "text"
    JSON = "json"


def validate(path: Path, output: Output) -> ExitCode:
    """Check one file and print the result."""
    try:
        found = read_either(path)
    except BadFileError as error:
        show_problems(error, output)
        return ExitCode.BAD_INPUT
    rows = privacy_rows(found.spec) if isinstance(found, Training) else ()
    warned = warnings_of(found) if isinstance(found, Training) else []
    if output is Output.JSON:
        warnings = [{"field": field, "message": message} for field, message in warned]
        told = {"file": str(path), "valid": True, "problems": [], "warnings": warnings}
        console().print(json.dumps(told | ({"privacy": dict(rows)} if rows else {}), ensure_ascii=False))
        return ExitCode.DONE
    screen = console()
    line = budget_summary(found) if isinstance(found, PrivacyBudget) else summary(found)
    screen.print(f"{printable(str(path))}: valid · {line}")
    if warned:
        screen.print(two_columns(warned, screen.width), style="yellow")
    if rows:
        screen.print(two_columns(rows, screen.width))
    return ExitCode.DONE


def warnings_of(training: Training) -> list[tuple[str, str]]:
    """What is allowed and hardly meant: fields and sentences."""
    impatient = impatience(training.spec)
    return [(MIN_REPLIES, f"Warning: {impatient}")] if impatient else []


def summary(training: Training) -> str:
    """A training in one line."""
    spec = training.spec
    rule = f"{spec.aggregation.rule.value}, f = {spec.aggregation.tolerated}"
    return f"{training.name} · {len(spec.clients)} clients · {spec.rounds.count} rounds · {rule}"


def budget_summary(budget: PrivacyBudget) -> str:
    """A budget in one line."""
    spec = budget.spec
    limit = f"ε = {spec.epsilon:g}, δ = {spec.delta:g} by {spec.unit.value.lower()}"
    clients = f"{len(spec.data)} client{'s' if len(spec.data) != 1 else ''}"
    return f"{budget.name} · {limit} · {clients} · period {spec.period.name}"


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
