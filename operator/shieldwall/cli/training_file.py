"""From a file to a valid training or budget, or to all that is wrong with it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from shieldwall.cli.documents import UnreadableDocumentError, load
from shieldwall.control.api.budget import KIND
from shieldwall.control.api.budget_parse import parse_budget
from shieldwall.control.api.checked import checked_training
from shieldwall.control.api.problems import InvalidDocumentError, InvalidTrainingError, Problem

if TYPE_CHECKING:
    from pathlib import Path

    from shieldwall.control.api.budget import PrivacyBudget
    from shieldwall.control.api.training import Training


class BadFileError(ValueError):
    """The file holds nothing valid; ``problems`` are all that is wrong with it."""

    def __init__(self, path: Path, problems: tuple[Problem, ...]) -> None:
        super().__init__(f"{path}: {len(problems)} problems")
        self.path = path
        self.problems = problems


def read_training(path: Path, rounds: int | None = None) -> Training:
    """The training in ``path``, with another number of rounds where one is given; raises BadFileError."""
    document = _loaded(path)
    try:
        return checked_training(document if rounds is None else _with_rounds(document, rounds))
    except InvalidTrainingError as error:
        raise BadFileError(path, error.problems) from error


def read_either(path: Path) -> Training | PrivacyBudget:
    """The training in ``path``, or the PrivacyBudget if the document says that it is one; raises BadFileError."""
    document = _loaded(path)
    is_budget = isinstance(document, dict) and document.get("kind") == KIND
    try:
        return parse_budget(document) if is_budget else checked_training(document)
    except InvalidDocumentError as error:
        raise BadFileError(path, error.problems) from error


def _loaded(path: Path) -> object:
    try:
        return load(path)
    except UnreadableDocumentError as error:
        raise BadFileError(path, (Problem(error.place, error.message),)) from error


def _with_rounds(document: object, count: int) -> object:
    """The same document with ``spec.rounds.count`` replaced; whatever is not as expected is left for the parser."""
    if not isinstance(document, dict) or not isinstance(document.get("spec"), dict):
        return document
    spec = document["spec"]
    if not isinstance(spec.get("rounds"), dict):
        return document
    return {**document, "spec": {**spec, "rounds": {**spec["rounds"], "count": count}}}
