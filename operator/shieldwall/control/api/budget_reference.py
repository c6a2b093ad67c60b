"""Rules about spec.privacy.budgetRef of a training."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from shieldwall.control.api.budget import UNITS
from shieldwall.control.api.crossrule import CrossRule
from shieldwall.control.api.privacy import MODE

if TYPE_CHECKING:
    from shieldwall.control.api.spec import FederatedTrainingSpec as Spec


def _says_what_it_needs(spec: Spec) -> bool:
    privacy = spec.privacy
    if privacy is None or privacy.budget_ref is None:
        return True
    return spec.privacy_mode in UNITS and privacy.epsilon is not None and privacy.delta is not None


BUDGET_REFERENCE: Final = (
    CrossRule(
        "privacy.budgetRef",
        "!has(self.privacy) || !has(self.privacy.budgetRef)"
        f" || ({MODE} != 'None' && has(self.privacy.epsilon) && has(self.privacy.delta))",
        _says_what_it_needs,
        "A training that draws on a PrivacyBudget reserves all that it may spend before it starts. Give a mode other"
        " than None, epsilon and delta, or leave budgetRef out.",
        frozenset({"privacy"}),
    ),
)

_REFERENCE: Final = "has({0}.privacy) && has({0}.privacy.budgetRef) ? {0}.privacy.budgetRef : ''"

REFERENCE_KEPT: Final = {
    "rule": f"({_REFERENCE.format('self')}) == ({_REFERENCE.format('oldSelf')})",
    "fieldPath": ".privacy",
    "message": "A training draws on one budget, or on none, all its life: its ledger counts all that it ever spent."
    " Make a new training.",
    "reason": "FieldValueForbidden",
}
"""Of the whole spec: only the API server can check it, as it knows the old one."""
