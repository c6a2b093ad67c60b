"""Statistical validation of a round's updates: each outlier with its reason, its number and the policy's threshold."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from shieldwall.contract.records import Fate
from shieldwall.runtime.admission import Refusal
from shieldwall.runtime.aggregation.gram import cosines, squared_distances
from shieldwall.runtime.contribution.evidence import near_duplicates
from shieldwall.runtime.validation.robust import relative_logs, z_score, z_scores

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from shieldwall.contract.policy import ValidationPolicy

FEWEST: Final = 5
"""With fewer updates in a round, or earlier rounds of a client, there is no deviation to speak of."""
_LEAST_SPREAD: Final = 0.1
"""Of relative logarithms: clients that are alike to a tenth have no outlier within a tenth."""

_ALIKE: Final = 0.5
"""Of the longer one's length: a copy that is shorter could take what its victim sends out of the round."""


@dataclass(frozen=True, slots=True)
class Past:
    """What one client's updates were in earlier rounds, each relative to its round (natural logarithms)."""

    norms: tuple[float, ...] = ()
    spreads: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class Judgement:
    """About one update."""

    spread: float | None
    """Median L2 distance to the others; None when it is alone."""
    norm_z: float | None
    distance_z: float | None
    refusal: Refusal | None
    """None when it may take part."""


def judge(
    gram: NDArray[np.float64], policy: ValidationPolicy, pasts: Sequence[Past], spare: int, draw: bytes
) -> tuple[Judgement, ...]:
    """Find the outliers of a round.

    Only what is too large or too far is one: an update that is too small harms nobody. Of more than ``spare``, the
    replies that the round can do without, those that lie farthest are refused and the others left to the rule.

    Of updates that are one, one stays. Which one is drawn, for who copied whom cannot be told, and a client that
    chose could have the other refused; only a copy of less than half the length never stays in the other's place.

    Args:
        gram: inner products of the n updates, (n, n).
        policy: the thresholds.
        pasts: of each update's client.
        spare: how many updates the round can do without.
        draw: unpredictable bytes, others for each round.
    """
    n = len(gram)
    if n < FEWEST or not np.isfinite(gram).all():
        return (Judgement(None, None, None, None),) * n
    spreads = _spreads(gram)
    norms_z, distances_z = _against_round(np.sqrt(np.diag(gram))), _against_round(spreads)
    norms, distances = relative_logs(np.sqrt(np.diag(gram))), relative_logs(spreads)
    found: list[tuple[float, int, Refusal]] = []
    copies = near_duplicates(cosines(gram), policy.duplicate_cosine)
    for i in range(n):
        measures = (
            (norms_z[i], policy.norm_z, Fate.NORM_OUTLIER, "norm", "the round's"),
            (distances_z[i], policy.distance_z, Fate.DISTANCE_OUTLIER, "distance to the others", "the round's"),
            (_own(norms[i], pasts[i].norms), policy.own_norm_z, Fate.NORM_OUTLIER, "norm", "its client's earlier ones"),
            (
                _own(distances[i], pasts[i].spreads),
                policy.own_distance_z,
                Fate.DISTANCE_OUTLIER,
                "distance to the others",
                "its client's earlier ones",
            ),
        )
        worst = max(measures, key=lambda measure: measure[0] / measure[1])
        if (excess := worst[0] / worst[1]) > 1.0:
            found.append((excess, i, _refusal(*worst)))
    outliers = {i for _, i, _ in found}
    rank, lengths = np.random.default_rng(int.from_bytes(draw, "big")).permutation(n), np.sqrt(np.diag(gram))
    others = [i for i in range(n) if i not in outliers]
    found += [
        (1.0, i, _copy(policy.duplicate_cosine))
        for i in others
        if any(copies[i, j] and _stays(j, i, rank, lengths) for j in others)
    ]
    found.sort(key=lambda each: (-each[0], rank[each[1]]))
    refused = {i: refusal for _, i, refusal in found[: max(spare, 0)]}
    return tuple(
        Judgement(float(spreads[i]), float(norms_z[i]), float(distances_z[i]), refused.get(i)) for i in range(n)
    )


def relative(values: Sequence[float]) -> tuple[float, ...]:
    """Sizes of one round as a Past has them: natural logarithms of their ratios to the median."""
    return tuple(float(value) for value in relative_logs(np.asarray(values, np.float64)))


def _against_round(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return z_scores(relative_logs(values), _LEAST_SPREAD)


def _own(value: float, earlier: Sequence[float]) -> float:
    return z_score(float(value), earlier, _LEAST_SPREAD) if len(earlier) >= FEWEST else 0.0


def _spreads(gram: NDArray[np.float64]) -> NDArray[np.float64]:
    """Median distance of each update to the others, (n,)."""
    distances = np.sqrt(squared_distances(gram))
    others = distances[~np.eye(len(gram), dtype=bool)].reshape(len(gram), -1)
    return np.median(others, axis=1)


def _stays(one: int, other: int, rank: NDArray[np.intp], lengths: NDArray[np.float64]) -> bool:
    """Whether of two copies ``one`` has the place of the other."""
    if min(lengths[one], lengths[other]) < _ALIKE * max(lengths[one], lengths[other]):
        return bool(lengths[one] > lengths[other])
    return bool(rank[one] < rank[other])


def _refusal(score: float, threshold: float, fate: Fate, what: str, whose: str) -> Refusal:
    return Refusal(
        fate,
        f"The update's {what} is {score:.1f} robust deviations above {whose}; the policy's bound is {threshold:g}.",
    )


def _copy(threshold: float) -> Refusal:
    return Refusal(
        Fate.NEAR_DUPLICATE,
        f"Another client sent this update: their cosine is above {threshold:g}, far more than others agree.",
    )
