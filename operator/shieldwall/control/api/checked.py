"""All of the checks on a document: its shape, the rules that cross fields, and the arithmetic of privacy."""

from __future__ import annotations

from typing import TYPE_CHECKING

from shieldwall.control.api.calibration import privacy_problems
from shieldwall.control.api.parse import parse_accepted, parse_training
from shieldwall.control.api.problems import InvalidTrainingError

if TYPE_CHECKING:
    from shieldwall.control.api.problems import Problem
    from shieldwall.control.api.training import Training


def checked_training(document: object) -> Training:
    """Read a FederatedTraining; raises InvalidTrainingError with every problem at once, and nothing else.

    It takes a second where privacy is amplified by sampling, once for each set of numbers.
    """
    try:
        training = parse_training(document)
    except InvalidTrainingError as error:
        raise InvalidTrainingError(error.problems + _numbers(document)) from error
    if problems := privacy_problems(training.spec):
        raise InvalidTrainingError(problems)
    return training


def _numbers(document: object) -> tuple[Problem, ...]:
    """What the numbers say of a document that breaks rules; nothing where its fields cannot be read."""
    try:
        return privacy_problems(parse_accepted(document).spec)
    except InvalidTrainingError:
        return ()
