"""Digits, a network of one hidden layer and plain SGD in NumPy, on flat vectors: quick enough for hundreds of runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
from sklearn.datasets import load_digits

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float32]
    Labels = NDArray[np.int64]

HIDDEN: Final = 64
SHAPES: Final = ((64, HIDDEN), (HIDDEN,), (HIDDEN, 10), (10,))
ENDS: Final = tuple(int(end) for end in np.cumsum([0, *(np.prod(shape) for shape in SHAPES)]))
SIZE: Final = ENDS[-1]
SMALLEST: Final = 10
"""Images of a client."""
_HELD_OUT: Final = 397
_BATCH: Final = 16
_RATE: Final = np.float32(0.1)


def images() -> tuple[tuple[Floats, Labels], tuple[Floats, Labels]]:
    """1400 images of 8 by 8 pixels to train on, and 397 that nobody trains on."""
    pixels, labels = load_digits(return_X_y=True)
    order = np.random.default_rng(1).permutation(len(labels))
    pixels, labels = (pixels[order] / 16).astype(np.float32), labels[order]
    return (pixels[_HELD_OUT:], labels[_HELD_OUT:]), (pixels[:_HELD_OUT], labels[:_HELD_OUT])


def partition(labels: Labels, clients: int, alpha: float, random: np.random.Generator) -> list[Labels]:
    """Indices of each client's images; every digit shared out by a Dirichlet(α) draw.

    α = ∞: evenly, at random. α = 0: each client holds one digit only, and shares it with one other client or none.
    """
    if alpha == 0:
        holders = [[client for client in range(clients) if client % 10 == digit] for digit in range(10)]
        shares = {
            client: part
            for digit, own in enumerate(holders)
            for client, part in zip(own, np.array_split(np.flatnonzero(labels == digit), len(own)), strict=True)
        }
        return [shares[client] for client in range(clients)]
    if np.isinf(alpha):
        return list(np.array_split(random.permutation(len(labels)), clients))
    while True:
        parts: list[list[int]] = [[] for _ in range(clients)]
        for digit in range(10):
            own = random.permutation(np.flatnonzero(labels == digit))
            cuts = (np.cumsum(random.dirichlet(np.full(clients, alpha)))[:-1] * len(own)).astype(int)
            for part, share in zip(parts, np.split(own, cuts), strict=True):
                part.extend(share)
        if min(map(len, parts)) >= SMALLEST:
            return [np.array(part) for part in parts]


def initial(random: np.random.Generator) -> Floats:
    """The model to begin with, (d,)."""
    scales = (np.sqrt(2 / 64), 0.0, np.sqrt(2 / HIDDEN), 0.0)
    parts = [random.normal(0, scale, shape).reshape(-1) for scale, shape in zip(scales, SHAPES, strict=True)]
    return np.concatenate(parts).astype(np.float32)


def train(base: Floats, pixels: Floats, labels: Labels, epochs: int, random: np.random.Generator) -> Floats:
    """The update, (d,)."""
    model = base.copy()
    for _ in range(epochs):
        order = random.permutation(len(labels))
        for start in range(0, len(order), _BATCH):
            batch = order[start : start + _BATCH]
            model -= _RATE * _gradient(model, pixels[batch], labels[batch])
    return model - base


def accuracy(model: Floats, pixels: Floats, labels: Labels) -> float:
    """The share of images that the model gets right."""
    return float((_forward(model, pixels)[1].argmax(axis=1) == labels).mean())


def _parts(model: Floats) -> list[Floats]:
    return [model[ENDS[i] : ENDS[i + 1]].reshape(shape) for i, shape in enumerate(SHAPES)]


def _forward(model: Floats, pixels: Floats) -> tuple[Floats, Floats]:
    w1, b1, w2, b2 = _parts(model)
    hidden = np.maximum(pixels @ w1 + b1, 0)
    scores = hidden @ w2 + b2
    scores = np.exp(scores - scores.max(axis=1, keepdims=True))
    return hidden, scores / scores.sum(axis=1, keepdims=True)


def _gradient(model: Floats, pixels: Floats, labels: Labels) -> Floats:
    hidden, errors = _forward(model, pixels)
    errors[np.arange(len(labels)), labels] -= 1
    errors /= len(labels)
    back = (errors @ _parts(model)[2].T) * (hidden > 0)
    parts = (pixels.T @ back, back.sum(axis=0), hidden.T @ errors, errors.sum(axis=0))
    return np.concatenate([part.reshape(-1) for part in parts])
