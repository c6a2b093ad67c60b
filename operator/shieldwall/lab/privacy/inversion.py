"""Gradient inversion: are a client's images in its update?"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from scipy.optimize import linear_sum_assignment

from shieldwall.lab.privacy.clients import Pupil, Recipe, Records
from shieldwall.lab.privacy.gradients import batch_images, single_image
from shieldwall.lab.privacy.intervals import Estimate, bootstrapped, proportion
from shieldwall.lab.privacy.learners import TanhNetwork
from shieldwall.lab.privacy.sightings import single_step
from shieldwall.lab.privacy.similarity import correlation, identified, signal_to_noise, structure

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from shieldwall.contract.privacy import PrivacyPolicy
    from shieldwall.lab.tasks import Task

BATCH: Final = 4
CANDIDATES: Final = 100
_RECIPE: Final = Recipe(rate=0.1, steps=1, private_rate=0.1)


@dataclass(frozen=True, slots=True, eq=False)
class Pair:
    """An image, and what was made of the update that it is in; both (p,)."""

    original: NDArray[Any]
    recovered: NDArray[Any]
    found: bool
    """Whether the recovered image is nearer to its original than to 99 others."""


@dataclass(frozen=True, slots=True)
class Inversion:
    """How like their originals the images of several clients were."""

    records: int
    """In the client's update."""
    pairs: tuple[Pair, ...] = field(repr=False)
    correlation: Estimate
    structure: Estimate
    signal_to_noise: Estimate
    """Decibels."""
    identified: Estimate
    """The share of images that are told from 99 others; 0.01 by chance."""


@dataclass(frozen=True, slots=True)
class Aim:
    """Whom an attack is aimed at."""

    privacy: PrivacyPolicy | None
    clients: int
    """Of the federation; one of them is attacked."""
    records: int
    """In its update."""
    victims: int
    """So many federations, with other data and another model each."""


def invert(task: Task, aim: Aim, seed: int) -> list[list[Pair]]:
    """Attack each victim; the same victims for every ``privacy``."""
    drawn = np.random.default_rng([seed, 5])
    generator = np.random.default_rng([seed, 6])
    learner = TanhNetwork(task)
    found = []
    for victim in range(aim.victims):
        candidates = drawn.choice(len(task.classes), CANDIDATES, replace=False)
        own = Records(task.images, task.classes).take(candidates[: aim.records])
        parameters = learner.initial(seed * aim.victims + victim)
        seen = single_step(Pupil(learner, [own], _RECIPE), parameters, aim.privacy, aim.clients, generator)
        images = single_image(seen)[None] if aim.records == 1 else batch_images(seen, parameters, aim.records, drawn)
        found.append(_paired(own.images, images, task.images[candidates]))
    return found


def measured(groups: Sequence[Sequence[Pair]], records: int, rng: np.random.Generator) -> Inversion:
    """Similarities over all images; intervals by resampling clients."""
    pairs = tuple(pair for group in groups for pair in group)
    return Inversion(
        records,
        pairs,
        _mean(groups, correlation, rng),
        _mean(groups, structure, rng),
        _mean(groups, signal_to_noise, rng),
        proportion(sum(pair.found for pair in pairs), len(pairs)),
    )


def _mean(
    groups: Sequence[Sequence[Pair]], figure: Callable[[NDArray[Any], NDArray[Any]], float], rng: np.random.Generator
) -> Estimate:
    figures = [[figure(pair.original, pair.recovered) for pair in group] for group in groups]
    return bootstrapped(figures, lambda chosen: float(np.mean(chosen)), rng)


def _paired(originals: NDArray[Any], recovered: NDArray[Any], candidates: NDArray[Any]) -> list[Pair]:
    """A batch has no order: each image goes with the original that makes all most alike."""
    likeness = np.array([[correlation(original, image) for image in recovered] for original in originals])
    rows, columns = linear_sum_assignment(-likeness)
    return [
        Pair(originals[row], recovered[column], identified(int(row), recovered[column], candidates))
        for row, column in zip(rows, columns, strict=True)
    ]
