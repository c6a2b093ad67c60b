"""digits: A Flower / NumPy app."""

import numpy as np
from sklearn.datasets import load_digits

HIDDEN = 64
HELD_OUT = 397  # images that no client ever trains on
SMALLEST_PARTITION = 40
DRAWS = 10  # of a partition, until nobody has too little
SPLIT_SEED = 1  # everybody splits the images alike


def load_images():
    """All 1797 images, 8 by 8 pixels in [0, 1], in one fixed random order."""
    images, labels = load_digits(return_X_y=True)
    order = np.random.default_rng(SPLIT_SEED).permutation(len(labels))
    return (images[order] / 16).astype(np.float32), labels[order]


def partition(labels, num_partitions, alpha):
    """Indices of each client's images: every digit is shared out by its own draw from a Dirichlet distribution."""
    rng = np.random.default_rng(SPLIT_SEED)
    smallest = min(SMALLEST_PARTITION, len(labels) // num_partitions)
    for _ in range(DRAWS):
        parts = [[] for _ in range(num_partitions)]
        for digit in range(10):
            indices = rng.permutation(np.flatnonzero(labels == digit))
            shares = rng.dirichlet(np.full(num_partitions, alpha))
            cuts = (np.cumsum(shares)[:-1] * len(indices)).astype(int)
            for part, own in zip(parts, np.split(indices, cuts), strict=True):
                part.extend(own)
        if min(len(part) for part in parts) >= smallest:
            break
    for part in parts:  # a small alpha leaves some with next to nothing, draw after draw
        while len(part) < smallest:
            part.append(max(parts, key=len).pop())
    return [rng.permutation(part) for part in parts]


def load_data(partition_id, num_partitions, alpha):
    """One client's images: 80 % to train on, 20 % to test on."""
    images, labels = load_images()
    images, labels = images[HELD_OUT:], labels[HELD_OUT:]
    own = partition(labels, num_partitions, alpha)[partition_id]
    train, test = own[: len(own) * 4 // 5], own[len(own) * 4 // 5 :]
    return images[train], labels[train], images[test], labels[test]


def load_held_out():
    """The images that no client trains on."""
    images, labels = load_images()
    return images[:HELD_OUT], labels[:HELD_OUT]


def initial_arrays(config):
    """A network of one hidden layer: arrays by name, float32. The same for the same ``seed``."""
    rng = np.random.default_rng(int(config.get("seed", 0)))
    return {
        "hidden.weight": rng.normal(0, np.sqrt(2 / 64), (64, HIDDEN)).astype(np.float32),
        "hidden.bias": np.zeros(HIDDEN, np.float32),
        "out.weight": rng.normal(0, np.sqrt(2 / HIDDEN), (HIDDEN, 10)).astype(np.float32),
        "out.bias": np.zeros(10, np.float32),
    }


def forward(arrays, images):
    """The hidden layer and the probability of each digit."""
    hidden = np.maximum(images @ arrays["hidden.weight"] + arrays["hidden.bias"], 0)
    scores = hidden @ arrays["out.weight"] + arrays["out.bias"]
    scores = np.exp(scores - scores.max(axis=1, keepdims=True))
    return hidden, scores / scores.sum(axis=1, keepdims=True)


def gradients(arrays, images, labels):
    """Gradients of the mean cross-entropy by array."""
    hidden, errors = forward(arrays, images)
    errors[np.arange(len(labels)), labels] -= 1
    errors /= len(labels)
    back = (errors @ arrays["out.weight"].T) * (hidden > 0)
    return {
        "hidden.weight": images.T @ back,
        "hidden.bias": back.sum(axis=0),
        "out.weight": hidden.T @ errors,
        "out.bias": errors.sum(axis=0),
    }


def train(arrays, images, labels, config, rng):
    """Plain SGD; returns new arrays and the loss after training."""
    arrays = {name: array.copy() for name, array in arrays.items()}
    batch_size = config["batch-size"]
    for _ in range(config["local-epochs"]):
        order = rng.permutation(len(labels))
        for start in range(0, len(order), batch_size):
            batch = order[start : start + batch_size]
            for name, gradient in gradients(arrays, images[batch], labels[batch]).items():
                arrays[name] -= np.float32(config["lr"]) * gradient
    return arrays, score(arrays, images, labels)["loss"]


def score(arrays, images, labels):
    """Accuracy and mean cross-entropy."""
    _, probabilities = forward(arrays, images)
    right = np.maximum(probabilities[np.arange(len(labels)), labels], 1e-12)  # finite however wrong the model is
    return {
        "accuracy": float((probabilities.argmax(axis=1) == labels).mean()),
        "loss": float(-np.log(right).mean()),
    }


def evaluate(arrays, config):  # noqa: ARG001  # the same signature as any app's: arrays, run config
    """Score a model on the held-out images."""
    return score(arrays, *load_held_out())
