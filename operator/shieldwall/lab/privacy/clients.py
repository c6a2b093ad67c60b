"""Clients that learn, in rounds that the pods' own code runs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from flwr.app import Array, ArrayRecord, Message, MetricRecord, RecordDict

from shieldwall.lab.cohort import AppCohort
from shieldwall.lab.tasks import NETWORK
from shieldwall.runtime.federation.app import ManagedApp
from shieldwall.runtime.flower.messages import ARRAYS_KEY, EXAMPLES_KEY, only_arrays
from shieldwall.runtime.privacy import dp_sgd

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flwr.app import Context
    from numpy.typing import NDArray

    from shieldwall.contract.policy import RuntimePolicy
    from shieldwall.lab.privacy.learners import Classes, Learner, Vector
    from shieldwall.lab.run import Laboratory, Trial
    from shieldwall.lab.tasks import Floats


class NoModelError(RuntimeError):
    """A training of the laboratory ended without a model; it says why."""


@dataclass(frozen=True, slots=True, eq=False)
class Records:
    """Images (n, p) with classes (n,)."""

    images: Floats
    classes: Classes

    def __len__(self) -> int:
        """N."""
        return len(self.classes)

    def take(self, places: NDArray[np.intp]) -> Records:
        """Those at ``places``."""
        return Records(self.images[places], self.classes[places])


@dataclass(frozen=True, slots=True)
class Recipe:
    """How a client trains."""

    rate: float
    """Of plain gradient descent on all its records, where the policy asks for no DP-SGD."""
    steps: int
    """Of the same, in a round."""
    private_rate: float
    """Of DP-SGD, in units of the clip: a step is at most so long without noise."""


@dataclass(frozen=True, slots=True)
class Pupil:
    """A ClientApp: partition i trains on the i-th records."""

    learner: Learner
    records: Sequence[Records]
    recipe: Recipe

    def __call__(self, message: Message, context: Context) -> Message:
        """One round's training."""
        own = self.records[int(str(context.node_config["partition-id"]))]
        arrays = only_arrays(message.content)[1]
        trained = self.trained(arrays[NETWORK].numpy(), own)
        content = ArrayRecord(array_dict={NETWORK: Array(trained)})
        return Message(
            RecordDict({ARRAYS_KEY: content, "metrics": MetricRecord({EXAMPLES_KEY: len(own)})}), reply_to=message
        )

    def trained(self, parameters: Vector, own: Records) -> Vector:
        """By DP-SGD in a private session, else by plain gradient descent; (d,) → (d,)."""
        try:
            private = dp_sgd.current()
        except dp_sgd.NoSessionError:
            return self._plain(parameters, own)
        rate, moved = self.recipe.private_rate / private.clip, parameters.copy()
        for batch in private.batches(len(own)):
            rows = self.learner.gradients(moved, own.images[batch], own.classes[batch])
            moved -= np.float32(rate) * private.gradient(rows)
        return moved

    def _plain(self, parameters: Vector, own: Records) -> Vector:
        moved, rate = parameters.copy(), np.float32(self.recipe.rate)
        for _ in range(self.recipe.steps):
            moved -= rate * self.learner.mean_gradient(moved, own.images, own.classes)
        return moved


@dataclass(frozen=True, slots=True)
class Federation:
    """Everything about trainings but whose data are in them."""

    policy: RuntimePolicy
    learner: Learner
    recipe: Recipe
    laboratory: Laboratory

    def trial(self, records: Sequence[Records], seed: int, app: ManagedApp | None = None) -> Trial:
        """Train on ``records``, one client's each."""
        clients = [client.name for client in self.policy.clients]
        cohort = AppCohort(
            apps={None: Pupil(self.learner, records, self.recipe)},
            poison={},
            config={},
            clients=clients,
            privacy=self.policy.privacy,
        )
        started = app or ManagedApp(lambda _: {NETWORK: self.learner.initial(seed)}, None, {})
        return self.laboratory.managed(self.policy, started, cohort, {}, seed)

    def model(self, records: Sequence[Records], seed: int) -> NDArray[Any]:
        """The model that is released last, (d,); raises NoModelError."""
        trial = self.trial(records, seed)
        if trial.model is None or trial.message:
            raise NoModelError(trial.message or "no round was released")
        return trial.model.arrays[NETWORK]
