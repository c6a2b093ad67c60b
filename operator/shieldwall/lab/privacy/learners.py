"""What clients learn: small classifiers of one vector of parameters, with the gradient of every single record."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from shieldwall.lab.tasks import CLASSES, NETWORK, Network, initial_arrays

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from shieldwall.lab.tasks import Floats, Task

    Classes = NDArray[np.int64]
    Vector = NDArray[Any]


class Learner(Protocol):
    """A classifier; parameters (d,), images (n, p), classes (n,)."""

    def initial(self, seed: int) -> Vector:
        """Parameters to begin with, (d,) float32."""

    def gradients(self, parameters: Vector, images: Floats, classes: Classes) -> NDArray[Any]:
        """Of each record's cross-entropy, (n, d)."""

    def mean_gradient(self, parameters: Vector, images: Floats, classes: Classes) -> Vector:
        """Their mean, (d,), at less cost."""

    def logits(self, parameters: Vector, images: Floats) -> NDArray[Any]:
        """(n, CLASSES)."""


@dataclass(frozen=True, slots=True)
class TanhNetwork:
    """One hidden layer with tanh, of which DP-SGD learns more than with ReLU (Papernot 2020, arXiv:2007.14191)."""

    task: Task

    def initial(self, seed: int) -> Vector:
        """See Learner."""
        return initial_arrays(self.task, seed)[NETWORK]

    def gradients(self, parameters: Vector, images: Floats, classes: Classes) -> NDArray[Any]:
        """See Learner."""
        hidden, errors, back = self._backwards(parameters, images, classes)
        return np.concatenate([_outer(images, back), back, _outer(hidden, errors), errors], axis=1)

    def mean_gradient(self, parameters: Vector, images: Floats, classes: Classes) -> Vector:
        """See Learner."""
        hidden, errors, back = self._backwards(parameters, images, classes)
        sums = images.T @ back, back.sum(axis=0), hidden.T @ errors, errors.sum(axis=0)
        mean: Vector = np.concatenate([part.reshape(-1) for part in sums]) / len(classes)
        return mean

    def logits(self, parameters: Vector, images: Floats) -> NDArray[Any]:
        """See Learner."""
        network = Network.of(parameters)
        logits: NDArray[Any] = self._hidden(network, images) @ network.out_weight + network.out_bias
        return logits

    def _backwards(
        self, parameters: Vector, images: Floats, classes: Classes
    ) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
        """The hidden layer (n, HIDDEN), and the loss's derivatives by both layers' sums, (n, CLASSES), (n, HIDDEN)."""
        network = Network.of(parameters)
        hidden = self._hidden(network, images)
        errors = _errors(hidden @ network.out_weight + network.out_bias, classes)
        return hidden, errors, (errors @ network.out_weight.T) * (1 - hidden * hidden)

    @staticmethod
    def _hidden(network: Network, images: Floats) -> NDArray[Any]:
        hidden: NDArray[Any] = np.tanh(images @ network.hidden_weight + network.hidden_bias)
        return hidden


@dataclass(frozen=True, slots=True)
class LinearClassifier:
    """A weight for each of ``size`` features and each class, and no bias: noise on it would outweigh all the others.

    What it calls images are features of norm 1, fixed before any data are seen: DP-SGD learns more from them than what
    it can learn by itself on few records (Tramèr and Boneh 2021, arXiv:2011.11660).
    """

    size: int

    def initial(self, seed: int) -> Vector:  # noqa: ARG002  # a Learner's signature; the problem is convex
        """See Learner."""
        return np.zeros(self.size * CLASSES, np.float32)

    def gradients(self, parameters: Vector, images: Floats, classes: Classes) -> NDArray[Any]:
        """See Learner."""
        return _outer(images, _errors(self.logits(parameters, images), classes))

    def mean_gradient(self, parameters: Vector, images: Floats, classes: Classes) -> Vector:
        """See Learner."""
        products = images.T @ _errors(self.logits(parameters, images), classes)
        mean: Vector = products.reshape(-1) / len(classes)
        return mean

    def logits(self, parameters: Vector, images: Floats) -> NDArray[Any]:
        """See Learner."""
        scores: NDArray[Any] = images @ parameters.reshape(self.size, CLASSES)
        return scores


def accuracy(learner: Learner, parameters: Vector, images: Floats, classes: Classes) -> float:
    """The share of images that are named rightly."""
    return float((learner.logits(parameters, images).argmax(axis=1) == classes).mean())


def log_odds(learner: Learner, parameters: Vector, images: Floats, classes: Classes) -> NDArray[np.float64]:
    """log(p/(1 − p)) of each record's own class, (n,): nearly Gaussian over models (Carlini 2021, section IV.C)."""
    logits = learner.logits(parameters, images).astype(np.float64)
    own = logits[np.arange(len(classes)), classes]
    logits[np.arange(len(classes)), classes] = -np.inf
    highest = logits.max(axis=1)
    odds: NDArray[np.float64] = own - highest - np.log(np.exp(logits - highest[:, None]).sum(axis=1))
    return odds


def _errors(logits: NDArray[Any], classes: Classes) -> NDArray[Any]:
    """Probabilities minus what would be right, (n, CLASSES)."""
    errors: NDArray[Any] = np.exp(logits - logits.max(axis=1, keepdims=True))
    errors /= errors.sum(axis=1, keepdims=True)
    errors[np.arange(len(classes)), classes] -= 1
    return errors


def _outer(left: NDArray[Any], right: NDArray[Any]) -> NDArray[Any]:
    """(n, a), (n, b) → (n, a·b)."""
    products: NDArray[Any] = left[:, :, None] * right[:, None, :]
    return products.reshape(len(left), left.shape[1] * right.shape[1])
