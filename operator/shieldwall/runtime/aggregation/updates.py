"""What goes into a rule and what comes out of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from shieldwall.runtime.aggregation.vectors import is_finite

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

    def __post_init__(self) -> None:
        """Raise ValueError when the vectors do not go together: every rule's guarantee rests on this."""
        if len(self.vectors) != len(self.num_examples):
            raise ValueError(f"{len(self.vectors)} updates with {len(self.num_examples)} numbers of examples")
        kinds = {(vector.shape, vector.dtype) for vector in self.vectors}
        if len(kinds) > 1 or any(len(shape) != 1 or dtype.kind != "f" for shape, dtype in kinds):
            raise ValueError("updates must be float vectors of one length and dtype")
        for position, vector in enumerate(self.vectors):
            if not is_finite(vector):
                raise ValueError(f"update {position} is not finite")

    @classmethod
    def of(cls, vectors: Sequence[Vector], num_examples: Sequence[int] | None = None) -> Updates:
        """From any sequence of (d,) vectors, such as the rows of an (n, d) matrix; 1 example each when not said."""
        return cls(tuple(vectors), tuple(num_examples) if num_examples is not None else (1,) * len(vectors))

    def __len__(self) -> int:
        """N, the number of updates."""
        return len(self.vectors)


@dataclass(frozen=True, slots=True, eq=False)
class Aggregate:
    """One update made from many."""

    delta: Vector
    """Shape (d,): what the rule adds to the model."""
    selected: tuple[int, ...] | None = None
    """Positions of the updates that a selection rule used, ascending; None where every update has its say."""
    clipped: tuple[int, ...] = ()
    """Positions of the updates that were scaled down to the policy's ``max_norm``, ascending."""
