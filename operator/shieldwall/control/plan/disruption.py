"""How many client pods a drain may take at once.

Server and aggregator have no budget: with one replica it could only block every drain, and both heal by themselves.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kubernetes.client import V1PodDisruptionBudget, V1PodDisruptionBudgetSpec

from shieldwall.control.plan.labels import Component, label_selector, metadata

if TYPE_CHECKING:
    from shieldwall.control.api.training import Training
    from shieldwall.control.plan.names import Names


def client_disruption_budget(training: Training, names: Names) -> V1PodDisruptionBudget:
    """As many as a round can do without, and at least one, or no node could ever be drained."""
    spare = max(len(training.spec.clients) - training.spec.min_replies, 1)
    return V1PodDisruptionBudget(
        api_version="policy/v1",
        kind="PodDisruptionBudget",
        metadata=metadata(training, names.clients, Component.CLIENT),
        spec=V1PodDisruptionBudgetSpec(
            max_unavailable=spare,
            selector=label_selector(training, Component.CLIENT),
            unhealthy_pod_eviction_policy="AlwaysAllow",
        ),
    )
