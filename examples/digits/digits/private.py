"""digits: A Flower / NumPy app that trains by DP-SGD. The one file here that knows Shieldwall.

A softmax regression on a few numbers of each image: noise grows with the number of weights. What is done to an image
looks at no other image, so it tells nothing of them.
"""

import numpy as np
from flwr.app import Array, ArrayRecord, Context, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp

from digits.task import HELD_OUT, load_held_out, load_images
from shieldwall.runtime.privacy import dp_sgd

FEATURES = 30
SIDE = 8

# Flower ClientApp
app = ClientApp()


def features(images):
    """The lowest frequencies of each image, without the middle columns that all digits have; length 1."""
    place = np.arange(SIDE)
    waves = np.cos(np.pi * np.outer(place, 2 * place + 1) / (2 * SIDE))
    waves[0] /= np.sqrt(2)
    middle = 0.7 * np.exp(-(((place - 3.5) / 2) ** 2))
    frequencies = waves @ (images.reshape(-1, SIDE, SIDE) - middle) @ waves.T
    lowest = np.argsort(np.add.outer(place**2, place**2).ravel(), kind="stable")[1 : FEATURES + 1]
    found = frequencies.reshape(-1, SIDE * SIDE)[:, lowest]
    return found / np.maximum(np.linalg.norm(found, axis=1, keepdims=True), 1e-9)


def load_share(partition_id, num_partitions):
    """One client's images, as many as any other's: there is nothing to test on, for that would tell of them."""
    images, labels = load_images()
    own = slice(HELD_OUT + partition_id, None, num_partitions)
    return features(images[own]), labels[own]


def initial_arrays(_config):
    """No weight says anything yet."""
    return {"weight": np.zeros((FEATURES, 10), np.float32)}


def errors(weight, inputs, labels):
    """The gradient of each image's cross-entropy by its scores, and the probability of each digit."""
    scores = inputs @ weight
    scores = np.exp(scores - scores.max(axis=1, keepdims=True))
    probabilities = scores / scores.sum(axis=1, keepdims=True)
    return probabilities - np.eye(10)[labels], probabilities


@app.train()
def train(msg: Message, context: Context) -> Message:
    """Train the model on local data, as many steps as the policy allows."""
    inputs, labels = load_share(context.node_config["partition-id"], context.node_config["num-partitions"])
    weight = msg.content["arrays"]["weight"].numpy()

    private = dp_sgd.current()
    for batch in private.batches(len(labels)):
        error, _ = errors(weight, inputs[batch], labels[batch])
        per_image = inputs[batch][:, :, None] * error[:, None, :]
        weight = weight - context.run_config["lr"] * private.gradient(per_image)

    # Construct and return reply Message
    model_record = ArrayRecord({"weight": Array(weight.astype(np.float32))})
    metric_record = MetricRecord({"num-examples": len(labels)})
    return Message(content=RecordDict({"arrays": model_record, "metrics": metric_record}), reply_to=msg)


def evaluate(arrays, _config):
    """Score a model on the held-out images."""
    images, labels = load_held_out()
    _, probabilities = errors(arrays["weight"], features(images), labels)
    right = np.maximum(probabilities[np.arange(len(labels)), labels], 1e-12)  # finite however wrong the model is
    return {
        "accuracy": float((probabilities.argmax(axis=1) == labels).mean()),
        "loss": float(-np.log(right).mean()),
    }
