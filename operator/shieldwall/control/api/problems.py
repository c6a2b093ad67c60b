"""What is wrong with a document, in sentences for people."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from shieldwall.control.api.plain import show

if TYPE_CHECKING:
    from collections.abc import Iterable

    from shieldwall.control.api.plain import Fault, Location

_IDENTIFIER: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,63}")


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong."""

    field: str
    """Where: ``spec.clients[3].name``; empty for the document itself."""
    message: str
    """What is wrong and what would be right, as sentences."""

    @property
    def order(self) -> tuple[list[tuple[int, str]], str]:
        """Sorts by field, ``clients[2]`` before ``clients[10]``, then by message."""
        parts = re.split(r"(\d+)", self.field)
        return [(int(part[:18]), part) if part.isdecimal() else (-1, part) for part in parts], self.message


class InvalidDocumentError(ValueError):
    """A document is not what it has to be; ``problems`` holds everything that is wrong, sorted by field."""

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        self.problems = tuple(sorted(set(problems), key=lambda problem: problem.order))
        super().__init__("\n".join(f"{problem.field}: {problem.message}" for problem in self.problems))


class InvalidTrainingError(InvalidDocumentError):
    """A document is not a valid FederatedTraining."""


class InvalidBudgetError(InvalidDocumentError):
    """A document is not a valid PrivacyBudget."""


def problems_of(faults: Iterable[Fault]) -> tuple[Problem, ...]:
    """The same, each with its place as people write it."""
    return tuple(Problem(path_of(fault.location), fault.message) for fault in faults)


def path_of(location: Location) -> str:
    """``("spec", "clients", 3, "name")`` as ``spec.clients[3].name``; a name that is none is quoted."""
    path = ""
    for step in location:
        if isinstance(step, int):
            path += f"[{step}]"
        elif _IDENTIFIER.fullmatch(step):
            path += f".{step}" if path else step
        else:
            path += f"[{show(step)}]"
    return path
