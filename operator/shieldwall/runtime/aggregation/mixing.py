"""What may be done to the updates before a rule: averages of some of them, as a matrix whose rows add up to 1."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Matrix = NDArray[np.float64]


def nearest_neighbor_mixing(squared_distances: Matrix, f: int) -> Matrix:
    """Each update becomes the mean of the n − f that are nearest to it, itself among them: (n, n) → (n, n).

    For n > 2f any (f, κ)-robust rule after it is within O(f/n) of the honest updates' variance, which is the best
    possible when clients' data differ. Source: Allouah et al. 2023 (arXiv:2302.01772), Algorithm 2 and Lemma 1.
    """
    n = len(squared_distances)
    order = squared_distances.copy()
    np.fill_diagonal(order, -1.0)  # itself first, even among copies of it
    nearest = np.argsort(order, axis=1, kind="stable")[:, : n - f]
    mixture = np.zeros((n, n))
    np.put_along_axis(mixture, nearest, 1.0 / (n - f), axis=1)
    return mixture


def bucketing(n: int, size: int, generator: np.random.Generator) -> Matrix:
    """Means of ``size`` updates each, drawn without replacement; the last bucket has what is left: → (⌈n/size⌉, n).

    f liars are in f buckets at most, so the rule after it has ⌈n/size⌉ values of which f may be lies, and honest ones
    are closer together. ``generator`` must be one that clients cannot foresee.
    Source: Karimireddy et al. 2022 (arXiv:2006.09365), Algorithm 1.
    """
    order = generator.permutation(n)
    mixture = np.zeros((-(-n // size), n))
    for bucket, start in zip(mixture, range(0, n, size), strict=True):
        members = order[start : start + size]
        bucket[members] = 1.0 / len(members)
    return mixture
