"""What is wrong with a FederatedTraining, in sentences for people."""

from __future__ import annotations

import re
from dataclasses import dataclass


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


class InvalidTrainingError(ValueError):
    """A document is not a valid FederatedTraining; ``problems`` holds everything that is wrong, sorted by field."""

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        self.problems = tuple(sorted(set(problems), key=lambda problem: problem.order))
        super().__init__("\n".join(f"{problem.field}: {problem.message}" for problem in self.problems))
