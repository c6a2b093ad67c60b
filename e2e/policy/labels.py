"""Label selectors, as in the API's LabelSelector."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kubernetes.aio.client import V1LabelSelector, V1LabelSelectorRequirement


def matches(selector: V1LabelSelector, labels: Mapping[str, str]) -> bool:
    """Whether every requirement holds; an empty selector matches everything. Raises ValueError."""
    wanted = (selector.match_labels or {}).items()
    return wanted <= labels.items() and all(_holds(each, labels) for each in selector.match_expressions or ())


def _holds(requirement: V1LabelSelectorRequirement, labels: Mapping[str, str]) -> bool:
    present = requirement.key in labels
    among = present and labels[requirement.key] in (requirement.values or ())
    match requirement.operator:
        case "In":
            return among
        case "NotIn":  # holds as well where the label is absent
            return not among
        case "Exists":
            return present
        case "DoesNotExist":
            return not present
    raise ValueError(f"no such operator of a label selector: {requirement.operator}")
