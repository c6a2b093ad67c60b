"""Averages of whole updates."""

from __future__ import annotations

from typing import TYPE_CHECKING

from shieldwall.runtime.aggregation.vectors import combine

if TYPE_CHECKING:
    from collections.abc import Sequence

    from shieldwall.runtime.aggregation.updates import Updates
    from shieldwall.runtime.model import Vector


def fed_avg(updates: Updates, scales: Sequence[float]) -> Vector:
    """``Σ wᵢ·scaleᵢ·uᵢ`` with wᵢ the claimed share of all examples: (n, d) → (d,).

    The insecure baseline: one client moves the result as far as it likes, by its update or by its claim.
    At least one claim must be positive. Source: McMahan et al. 2017 (arXiv:1602.05629), Algorithm 1.
    """
    total = sum(updates.num_examples)
    weights = [examples / total * scale for examples, scale in zip(updates.num_examples, scales, strict=True)]
    return combine(updates.vectors, weights)


def clipped_mean(updates: Updates, scales: Sequence[float]) -> Vector:
    """The unweighted mean of updates scaled down to norm C: (n, d) → (d,).

    Bounds what f liars do to 2·f·C/n and does not undo it. Source: Sun et al. 2019 (arXiv:1911.07963), section 4.
    """
    return combine(updates.vectors, [scale / len(updates) for scale in scales])
