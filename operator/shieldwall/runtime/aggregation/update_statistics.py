"""How each update relates to the round's aggregate: what people and alerts look at."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from shieldwall.runtime.aggregation.passes import each
from shieldwall.runtime.aggregation.vectors import cosine, norm

if TYPE_CHECKING:
    from collections.abc import Sequence

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


def update_statistics(vectors: Sequence[Vector], delta: Vector, threads: int = 1) -> tuple[UpdateStatistics, ...]:
    """The statistics of each update, (d,), against the aggregate ``delta``, (d,), in the same order."""
    length = norm(delta)
    return tuple(each(lambda vector: _one(vector, delta, length), vectors, threads))


def _one(vector: Vector, delta: Vector, length: float) -> UpdateStatistics:
    own = norm(vector)
    return UpdateStatistics(own, cosine(vector, delta, own, length), norm(vector, delta))
