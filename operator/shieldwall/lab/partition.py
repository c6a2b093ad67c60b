"""How data is shared out among clients."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

SMALLEST: Final = 10
"""Samples that every client has at least."""


def dirichlet(
    classes: NDArray[np.int64], clients: int, alpha: float, rng: np.random.Generator
) -> list[NDArray[np.int64]]:
    """Indices of each client's samples; every sample is somebody's, and nobody has fewer than SMALLEST.

    Each class is shared out by its own draw from a Dirichlet distribution: α = ∞ gives everybody the same mix, 0.1
    leaves a client with two or three classes. Clients that got too little take from those that have most.
    Source: Hsu 2019 (arXiv:1909.06335), section 3. Raises ValueError when there are too few samples for everybody.
    """
    if len(classes) < clients * SMALLEST:
        raise ValueError(f"{len(classes)} samples are too few for {clients} clients with {SMALLEST} each")
    parts: list[list[int]] = [[] for _ in range(clients)]
    if math.isinf(alpha):
        for position, index in enumerate(rng.permutation(len(classes))):
            parts[position % clients].append(int(index))
    else:
        for each in np.unique(classes):
            own = rng.permutation(np.flatnonzero(classes == each))
            shares = rng.dirichlet(np.full(clients, alpha))
            cuts = (np.cumsum(shares)[:-1] * len(own)).astype(int)
            for part, indices in zip(parts, np.split(own, cuts), strict=True):
                part.extend(int(index) for index in indices)
        _fill(parts)
    return [rng.permutation(np.array(part, dtype=np.int64)) for part in parts]


def _fill(parts: list[list[int]]) -> None:
    for part in parts:
        while len(part) < SMALLEST:
            part.append(max(parts, key=len).pop())
