"""The CustomResourceDefinition of PrivacyBudget, generated from the models.

``python -m shieldwall.control.api.budget_crd [--check] FILE`` writes FILE, or says whether it is current.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Final

from shieldwall.control.api.budget import KIND, PLURAL, SHORT_NAME, PrivacyBudgetSpec
from shieldwall.control.api.budget_status import PrivacyBudgetStatus
from shieldwall.control.api.crd import definition_of, resource_of, write
from shieldwall.control.api.fields import LABEL, PATTERN_SENTENCES
from shieldwall.control.api.schema import structural

if TYPE_CHECKING:
    from shieldwall.control.api.schema import Schema

MODULE: Final = "shieldwall.control.api.budget_crd"

_COLUMNS: Final = (
    ("Epsilon", "number", ".spec.epsilon"),
    ("Spent", "number", ".status.spent.epsilon"),
    ("Reserved", "number", ".status.reserved.epsilon"),
    ("Left", "number", ".status.remaining.epsilon"),
    ("Ready", "string", '.status.conditions[?(@.type=="Ready")].status'),
    ("Age", "date", ".metadata.creationTimestamp"),
)

# Trainings refer to it by name. A metadata.name can be checked at the root of the schema only.
_NAME_VALIDATIONS: Final = (
    {"rule": "size(self.metadata.name) <= 63", "message": "metadata.name must have at most 63 characters"},
    {"rule": f"self.metadata.name.matches('{LABEL}')", "message": f"metadata.name {PATTERN_SENTENCES[LABEL]}"},
)


def budget_definition() -> Schema:
    """The CustomResourceDefinition, as an API server takes it."""
    return definition_of(KIND, PLURAL, SHORT_NAME, _COLUMNS, budget_schema())


def budget_schema() -> Schema:
    """The schema of a whole PrivacyBudget."""
    return resource_of(
        "What the trainings that refer to it may spend in all of the privacy of some clients' data. What each may spend"
        " is reserved before it starts; one that does not fit is refused.",
        structural(PrivacyBudgetSpec),
        structural(PrivacyBudgetStatus),
        _NAME_VALIDATIONS,
    )


if __name__ == "__main__":
    sys.exit(write(MODULE, budget_definition()))
