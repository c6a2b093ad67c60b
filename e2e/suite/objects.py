"""What a training is made of in the cluster, how often its containers were started, and the operator's pods."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .kubectl import Kubectl

KINDS = "statefulsets,deployments,configmaps,secrets,networkpolicies,services,poddisruptionbudgets,serviceaccounts"


def objects(kubectl: Kubectl) -> dict[tuple[str, str], tuple[str, str]]:
    """By kind and name: what would change if somebody wrote an object, or made it anew."""
    return {
        (each["kind"], each["metadata"]["name"]): (each["metadata"]["uid"], _content(each))
        for each in kubectl.all(KINDS, "shieldwall.dev/training=digits")
    }


def _content(found: dict[str, Any]) -> str:
    """A digest of what an object holds; of the keys in it nothing is printed when a test fails."""
    held = {key: value for key, value in found.items() if key not in {"metadata", "status"}}
    return hashlib.sha256(json.dumps(held, sort_keys=True).encode()).hexdigest()


def restarts(kubectl: Kubectl) -> dict[tuple[str, str], int]:
    """By pod and container."""
    pods = kubectl.all("pods", "shieldwall.dev/training=digits")
    return {
        (pod["metadata"]["uid"], status["name"]): status["restartCount"]
        for pod in pods
        for status in [*pod["status"]["containerStatuses"], *pod["status"]["initContainerStatuses"]]
    }


def operators(system: Kubectl) -> list[dict[str, Any]]:
    """The operator's pods that stay."""
    pods = system.all("pods", "app.kubernetes.io/component=operator")
    return [pod for pod in pods if "deletionTimestamp" not in pod["metadata"]]
