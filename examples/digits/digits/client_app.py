"""digits: A Flower / NumPy app."""

import numpy as np
from flwr.app import Array, ArrayRecord, Context, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp

from digits.task import load_data, score
from digits.task import train as train_fn

# Flower ClientApp
app = ClientApp()


def local_data(context: Context):
    """The images of this client."""
    return load_data(
        context.node_config["partition-id"], context.node_config["num-partitions"], context.run_config["alpha"]
    )


def own_rng(msg: Message, context: Context):
    """Random numbers of this client in this round, so that a run can be repeated exactly."""
    partition, round_number = context.node_config["partition-id"], msg.content["config"]["server-round"]
    return np.random.default_rng([int(context.run_config.get("seed", 0)), partition, round_number])


def to_numpy(record: ArrayRecord):
    """Arrays by name."""
    return {name: array.numpy() for name, array in record.items()}


@app.train()
def train(msg: Message, context: Context) -> Message:
    """Train the model on local data."""
    images, labels, _, _ = local_data(context)
    arrays = to_numpy(msg.content["arrays"])
    arrays, loss = train_fn(arrays, images, labels, context.run_config, own_rng(msg, context))

    # Construct and return reply Message
    model_record = ArrayRecord({name: Array(array) for name, array in arrays.items()})
    metric_record = MetricRecord({"num-examples": len(labels), "train_loss": loss})
    return Message(content=RecordDict({"arrays": model_record, "metrics": metric_record}), reply_to=msg)


@app.evaluate()
def evaluate(msg: Message, context: Context) -> Message:
    """Evaluate the model on local data."""
    _, _, images, labels = local_data(context)
    result = score(to_numpy(msg.content["arrays"]), images, labels)

    # Construct and return reply Message
    metric_record = MetricRecord(
        {"num-examples": len(labels), "eval_loss": result["loss"], "eval_acc": result["accuracy"]}
    )
    return Message(content=RecordDict({"metrics": metric_record}), reply_to=msg)
