"""NetworkPolicies of others that are for a training's pods: what they allow is added to what its own allow."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kubernetes.client import V1NetworkPolicy

from shieldwall.control.plan.labels import Component, labels

if TYPE_CHECKING:
    from collections.abc import Mapping

    from shieldwall.control.api.training import Training
    from shieldwall.control.status.sight import Policy, Requirement, Sight


def foreign_policies(sight: Sight) -> list[str]:
    """Names of those that are none of the plan's and select one of the training's pods.

    Who its owner is said to be does not count: anybody can write that.
    """
    pods = _pods(sight.training)
    planned = {each.metadata.name for each in sight.plan.objects if isinstance(each, V1NetworkPolicy) and each.metadata}
    return [
        policy.name
        for policy in sight.policies
        if not (policy.owner == sight.training.uid and policy.name in planned)
        and any(_selects(policy, pod) for pod in pods)
    ]


def _pods(training: Training) -> list[dict[str, str]]:
    """The labels of each pod."""
    clients = [labels(training, Component.CLIENT, client.name) for client in training.spec.clients]
    return [labels(training, Component.SERVER), labels(training, Component.AGGREGATOR), *clients]


def _selects(policy: Policy, pod: Mapping[str, str]) -> bool:
    return all(_holds(requirement, pod) for requirement in policy.selects)


def _holds(requirement: Requirement, pod: Mapping[str, str]) -> bool:
    """As Kubernetes has it (apimachinery, labels.Requirement.Matches); NotIn holds where the label is missing."""
    value = pod.get(requirement.key)
    match requirement.operator:
        case "In":
            return value in requirement.values
        case "NotIn":
            return value not in requirement.values
        case "Exists":
            return value is not None
        case _:
            return value is None
