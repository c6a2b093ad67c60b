"""What status has to know of a plan's objects, without the objects: these are large, and trainings are many."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from kubernetes.client import V1ConfigMap, V1NetworkPolicy

from shieldwall.control.plan.names import Names
from shieldwall.control.plan.policy import POLICY_FILE

if TYPE_CHECKING:
    from collections.abc import Iterable

    from shieldwall.control.plan.objects import KubernetesObject


@dataclass(frozen=True, slots=True)
class Outline:
    """Facts about the objects of one plan."""

    policy_sha256: str | None
    """Hex digest of the policy file that the server is to go by; None while it is withheld."""
    network_policies: frozenset[str]
    """Names of the NetworkPolicies."""


def outline_of(training: str, objects: Iterable[KubernetesObject]) -> Outline:
    """The outline of the objects of the training of that name."""
    digest, policies = None, set()
    for each in objects:
        name = each.metadata.name if each.metadata is not None else None
        if isinstance(each, V1NetworkPolicy) and name is not None:
            policies.add(name)
        if isinstance(each, V1ConfigMap) and name == Names(training).policy:
            text = (each.data or {}).get(POLICY_FILE)
            digest = hashlib.sha256(text.encode()).hexdigest() if text is not None else None
    return Outline(digest, frozenset(policies))
