"""Innovation: how much of what an update says anew is borne out by what the others say anew.

Whoever trains on data of the same kind moves the model in directions that others find too. What a free-rider makes up
is explained by nobody, and what it takes from earlier rounds is not new.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

RIDGE: Final = 1e-6
"""Added to the normalised Gram matrix; at most this much of R² is lost to it."""
NOTHING_NEW: Final = 1e-6
"""An update of which no larger share lies outside of the earlier deltas says nothing anew."""
_CHANCE: Final = 3.0
_MOST_OF_THE_SPACE: Final = 0.05


def floor_of(n: int, deltas: int, moving: int) -> float | None:
    """What R² must exceed to be more than chance, 3·n/(d − K); None where too few parameters leave no power.

    ``moving`` is d: coordinates that stay as they are give noise no room. Noise in d − K dimensions has an R² against n
    others that is Beta(n/2, (d−K)/2): mean n/d, deviation √(2n)/d.
    """
    free = moving - deltas
    if free <= 0 or n > _MOST_OF_THE_SPACE * free:
        return None
    return _CHANCE * n / free


def innovation(
    gram: NDArray[np.float64], n: int, duplicates: NDArray[np.bool_], accomplices: int = 0
) -> NDArray[np.float64]:
    """R² of what each update says anew, explained by what the others say anew: (n,), each in [0, 1].

    Args:
        gram: of the n updates, then K earlier global deltas; (n + K, n + K), finite.
        n: how many updates there are.
        duplicates: (n, n), pairs that are each other's near-duplicates: neither explains the other.
        accomplices: so many others may vouch for an update and are left out, those first that explain the most.

    Each update is projected on the orthogonal complement of the deltas; then R² = 1 − 1/(Hᵢᵢ (H⁻¹)ᵢᵢ) with the
    normalised Gram matrix H of the rest (the identity of variance inflation).
    """
    rest = beyond_deltas(gram, n)
    own, whole = np.diag(rest).copy(), np.diag(gram)[:n]
    says_something = own > NOTHING_NEW * np.where(whole > 0, whole, 1.0)
    scores = np.zeros(n)
    for position in np.flatnonzero(says_something):
        others = says_something & ~duplicates[position]
        others[position] = False
        scores[position] = _explained(rest, int(position), np.flatnonzero(others), accomplices)
    return scores


def beyond_deltas(gram: NDArray[np.float64], n: int) -> NDArray[np.float64]:
    """The Gram matrix of what of each update is orthogonal to the deltas (a Schur complement), (n, n)."""
    updates, cross, deltas = gram[:n, :n], gram[:n, n:], gram[n:, n:]
    lengths = np.sqrt(np.diag(deltas))
    known = np.flatnonzero(lengths > 0)
    if known.size == 0:
        return updates.copy()
    scale = 1.0 / lengths[known]
    basis = deltas[np.ix_(known, known)] * scale[:, None] * scale[None, :]
    values, vectors = np.linalg.eigh(basis)
    kept = values > known.size * RIDGE**2
    along = (cross[:, known] * scale[None, :]) @ vectors[:, kept] / np.sqrt(values[kept])
    rest: NDArray[np.float64] = updates - along @ along.T
    return rest


def _explained(rest: NDArray[np.float64], one: int, others: NDArray[np.intp], accomplices: int) -> float:
    """R² of ``one`` by ``others``, without those that explain the most."""
    if others.size == 0:
        return 0.0
    chosen = np.concatenate(([one], others))
    scale = 1.0 / np.sqrt(np.diag(rest)[chosen])
    normal = rest[np.ix_(chosen, chosen)] * scale[:, None] * scale[None, :]
    inverse = np.linalg.inv(normal + RIDGE * np.eye(chosen.size))
    for _ in range(min(accomplices, others.size)):
        gain = inverse[0, 1:] ** 2 / np.diag(inverse)[1:]
        drop = 1 + int(np.argmax(gain))
        column = inverse[:, drop]
        inverse = np.delete(np.delete(inverse - np.outer(column, column) / inverse[drop, drop], drop, 0), drop, 1)
    return float(np.clip(1.0 - 1.0 / ((1.0 + RIDGE) * inverse[0, 0]), 0.0, 1.0))
