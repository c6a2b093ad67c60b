"""What privacy costs: the accuracy that is left, by mode, ε and number of clients, in rounds of the pods' own code."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from typing import TYPE_CHECKING, Final

import numpy as np
from pydantic import BaseModel, ConfigDict

from shieldwall.contract.policy import AggregationPolicy, RoundsPolicy, Rule
from shieldwall.contract.privacy import PrivacyMode
from shieldwall.lab.policies import Batches, lab_policy, private_policy
from shieldwall.lab.privacy.clients import Federation, NoModelError, Recipe, Records
from shieldwall.lab.privacy.features import stroke_features
from shieldwall.lab.privacy.learners import LinearClassifier, accuracy
from shieldwall.lab.run import Laboratory
from shieldwall.lab.tasks import NETWORK, TASKS

if TYPE_CHECKING:
    from shieldwall.contract.policy import RuntimePolicy
    from shieldwall.lab.tasks import Floats, Task

MODES: Final = (None, PrivacyMode.RECORD_LEVEL, PrivacyMode.CLIENT_LEVEL_CENTRAL)
EPSILONS: Final = (1.0, 2.0, 4.0, 8.0)
CLIENTS: Final = (10, 100, 350)
ROUNDS: Final = 20
RECORD_CLIP: Final = 0.3
"""Of gradients that are 0.95 long at first, and that shrink as a record is learnt."""
CLIENT_CLIP: Final = 1.0
_UNBOUNDED: Final = 1e4
_RECIPE: Final = Recipe(rate=10.0, steps=5, private_rate=4.0)


@dataclass(frozen=True, slots=True)
class Cell:
    """One training to measure; without a mode ε is infinite."""

    task: str
    mode: PrivacyMode | None
    epsilon: float
    clients: int
    seed: int


class Utility(BaseModel):
    """What one training came to."""

    model_config = ConfigDict(extra="forbid", frozen=True, ser_json_inf_nan="strings")

    task: str
    mode: PrivacyMode | None
    epsilon: float
    clients: int
    seed: int
    accuracy: float
    spent: float
    """Of ε, by the training's own ledger."""

    @property
    def cell(self) -> Cell:
        """Which it is."""
        return Cell(self.task, self.mode, self.epsilon, self.clients, self.seed)


def cells(task: str, seeds: int) -> list[Cell]:
    """Seed by seed, so that what is cut short is whole with fewer seeds."""
    return [
        Cell(task, mode, epsilon, clients, seed)
        for seed in range(seeds)
        for clients in CLIENTS
        for mode in MODES
        for epsilon in ((math.inf,) if mode is None else EPSILONS)
    ]


def measure(cell: Cell) -> Utility:
    """Run one training; raises NoModelError."""
    task = TASKS[cell.task]()
    features, held = _features(cell.task)
    whole = Records(features, task.classes)
    order = np.random.default_rng([cell.seed, 12]).permutation(len(whole))
    parts = [whole.take(places) for places in np.array_split(order, cell.clients)]
    policy = policy_of(cell, min(map(len, parts)))
    learner = LinearClassifier(features.shape[1])
    with Laboratory.of(policy, datetime.now(UTC)) as laboratory:
        trial = Federation(policy, learner, _RECIPE, laboratory).trial(parts, cell.seed)
    if trial.model is None or trial.message:
        raise NoModelError(trial.message)
    last = trial.records[-1].privacy
    return Utility(
        task=cell.task,
        mode=cell.mode,
        epsilon=cell.epsilon,
        clients=cell.clients,
        seed=cell.seed,
        accuracy=accuracy(learner, trial.model.arrays[NETWORK], held, task.held_classes),
        spent=math.inf if last is None else last.epsilon,
    )


@cache
def _features(name: str) -> tuple[Floats, Floats]:
    task: Task = TASKS[name]()
    return stroke_features(task.images), stroke_features(task.held_images)


def policy_of(cell: Cell, records: int) -> RuntimePolicy:
    """The cell's policy for clients with ``records`` records at least, calibrated as the operator does."""
    central = cell.mode is PrivacyMode.CLIENT_LEVEL_CENTRAL
    clip = CLIENT_CLIP if central else RECORD_CLIP
    every = Batches(records, records, 1)  # sampling them gains nothing at so few steps
    return lab_policy(
        "utility",
        [f"client-{place:03}" for place in range(cell.clients)],
        RoundsPolicy(count=ROUNDS, min_replies=cell.clients),
        AggregationPolicy(rule=Rule.CLIPPED_MEAN, max_norm=CLIENT_CLIP if central else _UNBOUNDED),
        privacy=None if cell.mode is None else private_policy(cell.mode, cell.epsilon, ROUNDS, clip, every),
    )
