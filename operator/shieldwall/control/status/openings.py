"""NetworkPolicies of others that are for a training's pods: what they allow is added to what its own allow."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from shieldwall.control.plan.labels import Component, labels
from shieldwall.control.plan.names import Names

if TYPE_CHECKING:
    from shieldwall.control.api.training import Training
    from shieldwall.control.status.sight import Policy, Requirement, Sight

_Pod = Mapping[str, str | None]
"""Labels of a pod. Where the value is None it is one that cannot be told beforehand."""

_OF_DEPLOYMENT: Final = {"pod-template-hash": None}


def foreign_policies(sight: Sight) -> list[str]:
    """Names of those that are none of the plan's and select one of the training's pods.

    Who its owner is said to be does not count: anybody can write that.
    """
    pods = _pods(sight.training)
    return [
        policy.name
        for policy in sight.policies
        if not (policy.owner == sight.training.uid and policy.name in sight.outline.network_policies)
        and any(_selects(policy, pod) for pod in pods)
    ]


def _pods(training: Training) -> list[_Pod]:
    """The labels of each pod: the plan's, and those that Kubernetes' own controllers add."""
    names, clients = Names(training.name), training.spec.clients
    return [
        labels(training, Component.SERVER) | _of_stateful_set(names.server),
        labels(training, Component.AGGREGATOR) | _of_stateful_set(names.aggregator),
        *(labels(training, Component.CLIENT, client.name) | _OF_DEPLOYMENT for client in clients),
    ]


def _of_stateful_set(name: str) -> dict[str, str | None]:
    """What a StatefulSet adds to its only pod."""
    return {
        "statefulset.kubernetes.io/pod-name": f"{name}-0",
        "apps.kubernetes.io/pod-index": "0",
        "controller-revision-hash": None,
    }


def _selects(policy: Policy, pod: _Pod) -> bool:
    return all(_may_hold(requirement, pod) for requirement in policy.selects)


def _may_hold(requirement: Requirement, pod: _Pod) -> bool:
    """As Kubernetes has it (apimachinery, labels.Requirement.Matches); NotIn holds where the label is missing.

    Of a label whose value cannot be told, whatever is possible.
    """
    key, value = requirement.key, pod.get(requirement.key)
    unknown = key in pod and value is None
    match requirement.operator:
        case "In":
            return unknown or value in requirement.values
        case "NotIn":
            return value not in requirement.values
        case "Exists":
            return key in pod
        case _:
            return key not in pod
