"""The rule of a spec as pods and accountant take it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from shieldwall.contract.policy import AggregationPolicy

if TYPE_CHECKING:
    from shieldwall.control.api.spec import FederatedTrainingSpec


def aggregation_policy(spec: FederatedTrainingSpec) -> AggregationPolicy:
    """With every default that another section decides."""
    aggregation = spec.aggregation
    return AggregationPolicy(
        rule=aggregation.rule,
        byzantine=aggregation.tolerated,
        beta=aggregation.beta,
        select=aggregation.select,
        pre_aggregation=spec.pre_aggregation,
        bucket_size=aggregation.bucket_size,
        max_norm=spec.max_norm,
        reject_norm=aggregation.reject_norm,
    )
