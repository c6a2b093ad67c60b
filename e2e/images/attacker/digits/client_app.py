"""The honest app's training, sent reversed and enlarged: base − 10·(local − base), as ``--attack sign-flip`` does."""

# It looks the way people write Flower apps.
# mypy: ignore-errors

import numpy as np
from flwr.app import Array, ArrayRecord, Context, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp

from digits.task import load_data, score
from digits.task import train as train_honestly

SCALE = np.float32(10)

app = ClientApp()


def local_data(context: Context) -> tuple[np.ndarray, ...]:
    """The images of this client."""
    return load_data(
        context.node_config["partition-id"], context.node_config["num-partitions"], context.run_config["alpha"]
    )


def to_numpy(record: ArrayRecord) -> dict[str, np.ndarray]:
    """Arrays by name."""
    return {name: array.numpy() for name, array in record.items()}


@app.train()
def train(msg: Message, context: Context) -> Message:
    """Train, then lie about it; the metrics are those of an honest client."""
    images, labels, _, _ = local_data(context)
    base = to_numpy(msg.content["arrays"])
    local, loss = train_honestly(base, images, labels, context.run_config, np.random.default_rng())
    lie = {name: Array(array - SCALE * (local[name] - array)) for name, array in base.items()}
    metrics = MetricRecord({"num-examples": len(labels), "train_loss": loss})
    return Message(content=RecordDict({"arrays": ArrayRecord(lie), "metrics": metrics}), reply_to=msg)


@app.evaluate()
def evaluate(msg: Message, context: Context) -> Message:
    """Evaluate the model honestly."""
    _, _, images, labels = local_data(context)
    result = score(to_numpy(msg.content["arrays"]), images, labels)
    metrics = {"num-examples": len(labels), "eval_loss": result["loss"], "eval_acc": result["accuracy"]}
    return Message(content=RecordDict({"metrics": MetricRecord(metrics)}), reply_to=msg)
