"""What goes into a rule and what comes out of it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from shieldwall.runtime.aggregation.vectors import is_finite, norm

if TYPE_CHECKING:
    from collections.abc import Sequence

    from shieldwall.runtime.model import Vector


@dataclass(frozen=True, slots=True, eq=False)
class Updates:
    """The admitted updates of one round: n vectors of shape (d,), one dtype, every value finite.

    Rules break ties by position, so sort by something that a client cannot choose (its name), not by arrival.
    """

    vectors: tuple[Vector, ...]
    num_examples: tuple[int, ...]
    """As the clients claim; FedAvg alone reads them."""
    norms: tuple[float, ...]
    """Their L2 norms."""

    def __post_init__(self) -> None:
        """Raise ValueError when the vectors do not go together: every rule's guarantee rests on this."""
        if len(self.vectors) != len(self.num_examples):
            raise ValueError(f"{len(self.vectors)} updates with {len(self.num_examples)} numbers of examples")
        if len(self.vectors) != len(self.norms):
            raise ValueError(f"{len(self.vectors)} updates with {len(self.norms)} norms")
        _require_one_kind(self.vectors)
        for position, (vector, length) in enumerate(zip(self.vectors, self.norms, strict=True)):
            if not math.isfinite(length) and not is_finite(vector):
                raise ValueError(f"update {position} is not finite")

    @classmethod
    def of(
        cls,
        vectors: Sequence[Vector],
        num_examples: Sequence[int] | None = None,
        norms: Sequence[float] | None = None,
    ) -> Updates:
        """From any sequence of (d,) vectors, such as the rows of an (n, d) matrix; 1 example each when not said.

        ``norms`` are measured here unless admission did so already; a vector with a value that is not finite has none
        that is.
        """
        _require_one_kind(vectors)
        return cls(
            tuple(vectors),
            tuple(num_examples) if num_examples is not None else (1,) * len(vectors),
            tuple(norms) if norms is not None else tuple(norm(vector) for vector in vectors),
        )

    def __len__(self) -> int:
        """N, the number of updates."""
        return len(self.vectors)


def _require_one_kind(vectors: Sequence[Vector]) -> None:
    kinds = {(vector.shape, vector.dtype) for vector in vectors}
    if any(len(shape) != 1 or dtype.char not in "fd" for shape, dtype in kinds) or len(kinds) > 1:
        raise ValueError("updates must be float32 or float64 vectors of one length and dtype")


@dataclass(frozen=True, slots=True, eq=False)
class Aggregate:
    """One update made from many."""

    delta: Vector
    """Shape (d,): what the rule adds to the model."""
    selected: tuple[int, ...] | None = None
    """Positions of the updates that a selection rule used, ascending; None where every update has its say."""
    clipped: tuple[int, ...] = ()
    """Positions of the updates that were scaled down to the policy's ``max_norm``, ascending."""
