"""Membership inference: was this record, or this client, in the training?

The likelihood ratio attack with shadow models of Carlini et al. 2021 (arXiv:2112.03570): of every record it is known
how sure models are that learnt it, and how sure those that did not; a Gaussian for each, and their ratio is the score.
The attacker knows the whole pool and the whole procedure, and has trained models of its own on random halves of the
pool; it sees the released model only. Each model in turn is the victim, all others are the shadows.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final

import numpy as np

from shieldwall.lab.privacy.clients import Records
from shieldwall.lab.privacy.intervals import Estimate, area_under_curve, bootstrapped, true_positives
from shieldwall.lab.privacy.learners import log_odds

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from shieldwall.lab.privacy.clients import Federation

    Matrix = NDArray[np.float64]

FALSE_POSITIVES: Final = 0.01
_FEWEST: Final = 2
"""Shadows with and without a unit that a Gaussian needs."""
_SMALLEST: Final = 1e-9
"""Of a standard deviation."""


class Unit(StrEnum):
    """Whose membership is asked for."""

    RECORD = "record"
    CLIENT = "client"


@dataclass(frozen=True, slots=True, eq=False)
class Told:
    """What was said about every unit of one victim: (u,) scores, and whether it was in."""

    scores: NDArray[np.float64]
    members: NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Membership:
    """What the attack came to."""

    area: Estimate
    """Under the curve: 0.5 is a coin."""
    true_positives: Estimate
    """The share of members that is told with at most 1 % false positives."""
    told: tuple[Told, ...]
    """By victim."""


def sides(units: int, models: int, rng: np.random.Generator) -> NDArray[np.bool_]:
    """Which units each model learns, (models, units): a random half, so that a stranger stands in for each member."""
    drawn = np.zeros((models, units), bool)
    for row in drawn:
        row[rng.permutation(units)[: units // 2]] = True
    return drawn


def shadows(
    federation: Federation, pool: Sequence[Records], unit: Unit, models: int, rng: np.random.Generator
) -> tuple[Matrix, NDArray[np.bool_]]:
    """How sure each model is of each unit of the pool, and whether it learnt it; both (models, units).

    ``pool`` holds the records of twice as many clients as there are; a client's score is its records' mean.
    """
    whole = Records(np.concatenate([one.images for one in pool]), np.concatenate([one.classes for one in pool]))
    clients, each = len(pool) // 2, len(pool[0])
    members = sides(len(pool) if unit is Unit.CLIENT else len(whole), models, rng)
    sure = np.empty((models, len(whole)))
    for model, row in enumerate(members):
        chosen = np.flatnonzero(np.repeat(row, each) if unit is Unit.CLIENT else row)
        parts = [whole.take(places) for places in np.split(chosen, clients)]
        parameters = federation.model(parts, int(rng.integers(2**31)))
        sure[model] = log_odds(federation.learner, parameters, whole.images, whole.classes)
    return sure.reshape(models, -1, each).mean(axis=2) if unit is Unit.CLIENT else sure, members


def likelihood_ratios(sure: Matrix, members: NDArray[np.bool_]) -> list[Told]:
    """Every model as the victim of all others: log-likelihood ratios of Gaussians, with one variance for all units.

    As many shadows with a unit as without it are used: a mean of fewer is further off, and who is a member of the
    victim is one of fewer. Units with less than two of either are left out. One variance is what Carlini et al. advise
    for few shadows (section VI.B).
    """
    told = []
    for victim in range(len(sure)):
        others = np.arange(len(sure)) != victim
        inside, outside = _as_many(members[others])
        usable = inside.sum(axis=0) >= _FEWEST
        fits = [_fit(sure[others][:, usable], chosen[:, usable]) for chosen in (inside, outside)]
        logs = [-np.log(spread) - ((sure[victim, usable] - means) / spread) ** 2 / 2 for means, spread in fits]
        told.append(Told(logs[0] - logs[1], members[victim, usable]))
    return told


def _as_many(learnt: NDArray[np.bool_]) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Of each unit's shadows, (models, units), the first that learnt it and as many of the first that did not."""
    fewer = np.minimum(learnt.sum(axis=0), (~learnt).sum(axis=0))
    return learnt & (np.cumsum(learnt, axis=0) <= fewer), ~learnt & (np.cumsum(~learnt, axis=0) <= fewer)


def _fit(sure: Matrix, chosen: NDArray[np.bool_]) -> tuple[NDArray[np.float64], float]:
    """Each unit's mean over its chosen shadows, (u,), and the standard deviation of all."""
    known = np.where(chosen, sure, np.nan)
    return np.nanmean(known, axis=0), max(float(np.sqrt(np.nanmean(np.nanvar(known, axis=0)))), _SMALLEST)


def measured(told: Sequence[Told], rng: np.random.Generator) -> Membership:
    """Area and true positives over all victims; intervals by resampling victims."""
    return Membership(
        bootstrapped(told, _over(area_under_curve), rng),
        bootstrapped(told, _over(lambda scores, members: true_positives(scores, members, FALSE_POSITIVES)), rng),
        tuple(told),
    )


def _over(
    figure: Callable[[NDArray[np.float64], NDArray[np.bool_]], float],
) -> Callable[[Sequence[Told]], float]:
    return lambda told: figure(
        np.concatenate([one.scores for one in told]), np.concatenate([one.members for one in told])
    )
