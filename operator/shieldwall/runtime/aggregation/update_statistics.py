"""How each update relates to the round's aggregate: what people and alerts look at."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from shieldwall.runtime.aggregation.passes import each
from shieldwall.runtime.aggregation.vectors import cosine, norm

if TYPE_CHECKING:
    from shieldwall.runtime.aggregation.updates import Updates
    from shieldwall.runtime.model import Vector


@dataclass(frozen=True, slots=True)
class UpdateStatistics:
    """One update's numbers; never NaN, and JSON can carry them when the update was admitted."""

    norm: float
    """L2 norm of the update."""
    cosine: float | None
    """Cosine of the update and the aggregate; None when one of them is zero."""
    distance: float
    """L2 distance of the update and the aggregate."""


def update_statistics(updates: Updates, delta: Vector, threads: int = 1) -> tuple[UpdateStatistics, ...]:
    """The statistics of each update, (d,), against the aggregate ``delta``, (d,), in the same order."""
    length = norm(delta)

    def one(position: int) -> UpdateStatistics:
        vector, own = updates.vectors[position], updates.norms[position]
        return UpdateStatistics(own, cosine(vector, delta, own, length), norm(vector, delta))

    return tuple(each(one, range(len(updates)), threads))
