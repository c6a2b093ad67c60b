"""Parse once: from any document that a YAML or JSON reader gives to a PrivacyBudget, or to all that is wrong."""

from __future__ import annotations

from shieldwall.control.api.budget import BudgetManifest, PrivacyBudget
from shieldwall.control.api.plain import plain_json, show
from shieldwall.control.api.problems import InvalidBudgetError, Problem, problems_of
from shieldwall.control.api.shape import shaped


def parse_budget(document: object) -> PrivacyBudget:
    """Read a PrivacyBudget; raises InvalidBudgetError with every problem at once, and nothing else."""
    plain, faults = plain_json(document)
    if not isinstance(plain, dict):
        wrong = f"A PrivacyBudget is a map with apiVersion, kind, metadata and spec; this is {show(plain)}."
        raise InvalidBudgetError(problems_of(faults) or (Problem("", wrong),))
    manifest, shape = shaped(BudgetManifest, {name: value for name, value in plain.items() if name != "status"})
    if faults or manifest is None:
        raise InvalidBudgetError(problems_of(faults + shape))
    metadata = manifest.metadata
    return PrivacyBudget(
        name=metadata.name,
        namespace=metadata.namespace,
        uid=metadata.uid,
        generation=metadata.generation,
        spec=manifest.spec,
    )
