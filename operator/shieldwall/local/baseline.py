"""The one place where protection is taken away: the baseline that the demonstration compares with."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from kubernetes.client import V1ConfigMap

from shieldwall.contract.policy import AggregationPolicy, Rule, RuntimePolicy

if TYPE_CHECKING:
    from shieldwall.control.plan.objects import KubernetesObject
    from shieldwall.control.plan.orders import Plan

_POLICY_FILE: Final = "policy.json"
_NO_LIMIT: Final = 1e30


def unprotected_policy(policy: RuntimePolicy) -> RuntimePolicy:
    """Plain FedAvg without any bound, watch or noise, and no signature asked for: the state of the industry."""
    aggregation = AggregationPolicy(rule=Rule.FED_AVG, byzantine=0, max_norm=None, reject_norm=_NO_LIMIT)
    unwatched = {"validation": None, "contribution": None, "privacy": None}
    return policy.model_copy(update={"aggregation": aggregation, "require_signatures": False, **unwatched})


def without_protection(plan: Plan) -> Plan:
    """The same plan with unprotected policies in its ConfigMaps."""
    return replace(plan, objects=tuple(_unprotect(item) for item in plan.objects))


def _unprotect(item: KubernetesObject) -> KubernetesObject:
    if not isinstance(item, V1ConfigMap) or item.data is None or _POLICY_FILE not in item.data:
        return item
    policy = unprotected_policy(RuntimePolicy.from_json(item.data[_POLICY_FILE]))
    return item.model_copy(update={"data": {**item.data, _POLICY_FILE: policy.to_json()}})
