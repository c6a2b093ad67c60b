"""Rules about one section of the spec: each stands once, as CEL for the API server and as Python for everybody else."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from pydantic_core import PydanticCustomError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from pydantic.config import JsonDict

RULE: Final = "section_rule"
"""The type of pydantic's error when a rule is broken: its message is a whole sentence."""


@dataclass(frozen=True, slots=True)
class SectionRule:
    """A condition on a section."""

    cel: str
    """The condition; ``self`` is the section."""
    holds: Callable[[Any], bool]
    """The same condition on the section's model."""
    sentence: str
    """What to tell people."""


def validations(rules: Iterable[SectionRule]) -> JsonDict:
    """What the section's schema says of the rules."""
    return {"x-kubernetes-validations": [{"rule": rule.cel, "message": rule.sentence} for rule in rules]}


def require(rules: Iterable[SectionRule], section: object) -> None:
    """Raise PydanticCustomError with the sentence of the first rule that ``section`` breaks."""
    for rule in rules:
        if not rule.holds(section):
            raise PydanticCustomError(RULE, "{sentence}", {"sentence": rule.sentence})
