"""NetworkPolicies, whoever made them, as much of each as is needed to tell whether it adds to a training's own."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any

from shieldwall.control.status.sight import Policy, Requirement

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from shieldwall.control.cluster.api import Json


def policies_by_namespace(bodies: Iterable[Json]) -> dict[str, tuple[Policy, ...]]:
    """Those that allow something, by namespace and sorted by name. One without a rule only closes."""
    found: defaultdict[str, list[Policy]] = defaultdict(list)
    for body in bodies:
        if _allows(body.get("spec") or {}):
            found[body["metadata"]["namespace"]].append(_policy(body))
    return {namespace: tuple(sorted(each, key=lambda policy: policy.name)) for namespace, each in found.items()}


def _allows(spec: Mapping[str, Any]) -> bool:
    """Whether there is a rule for a direction that it is about; the API server fills in policyTypes."""
    types = spec.get("policyTypes") or ["Ingress", "Egress"]
    return any(spec.get(direction) for direction in ("ingress", "egress") if direction.capitalize() in types)


def _policy(body: Json) -> Policy:
    metadata, selector = body["metadata"], (body.get("spec") or {}).get("podSelector") or {}
    equal = [Requirement(key, "In", frozenset({value})) for key, value in (selector.get("matchLabels") or {}).items()]
    others = [
        Requirement(each["key"], each["operator"], frozenset(each.get("values") or ()))
        for each in selector.get("matchExpressions") or ()
    ]
    owner = next((each["uid"] for each in metadata.get("ownerReferences") or () if each.get("controller")), None)
    return Policy(metadata["name"], owner, (*equal, *others))
