"""Rules that cross fields: each stands once, as CEL for the API server and as Python for ``shieldwall validate``.

Tests evaluate both on the same specs and demand the same verdict and the same sentence.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from shieldwall.control.api.spec import FederatedTrainingSpec

_PLACEHOLDER: Final = re.compile(r"\{(\w+)\}")


@dataclass(frozen=True, slots=True)
class Term:
    """A value that sentences name: a CEL expression, and the same in Python."""

    verb: Literal["%d", "%s"]
    """How CEL formats it: an int or a string."""
    cel: str
    value: Callable[[FederatedTrainingSpec], str | int]


@dataclass(frozen=True, slots=True)
class CrossRule:
    """A condition on the whole spec."""

    field: str
    """The field below ``spec`` that a breach is shown at, dotted."""
    cel: str
    """The condition; ``self`` is the spec."""
    holds: Callable[[FederatedTrainingSpec], bool]
    """The same condition."""
    sentence: str
    """What to tell people; ``{word}`` stands for the term of that name."""
    reads: frozenset[str]
    """The fields right below ``spec`` that the condition reads."""

    def breach(self, spec: FederatedTrainingSpec, terms: Mapping[str, Term]) -> str | None:
        """The sentence, if ``spec`` breaks the rule."""
        if self.holds(spec):
            return None
        return _PLACEHOLDER.sub(lambda match: str(terms[match[1]].value(spec)), self.sentence)

    def validation(self, terms: Mapping[str, Term]) -> dict[str, str]:
        """The entry of ``x-kubernetes-validations``."""
        entry = {"rule": self.cel, "fieldPath": f".{self.field}"}
        names = _PLACEHOLDER.findall(self.sentence)
        if not names:
            return entry | {"message": self.sentence}
        template = _PLACEHOLDER.sub(lambda match: terms[match[1]].verb, self.sentence.replace("%", "%%"))
        # The cost of '…' + string(x) is estimated as endless; that of format() is not.
        expression = f"{_quote(template)}.format([{', '.join(terms[name].cel for name in names)}])"
        return entry | {"message": _PLACEHOLDER.sub(r"\1", self.sentence), "messageExpression": expression}


def _quote(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"
