"""A client that changes every parameter and computes nothing."""

import numpy as np
from flwr.app import Array, ArrayRecord, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp

app = ClientApp()


@app.train()
def train(message, context):
    """Answer with the model, a little moved."""
    step = np.float32(1e-4 * (1 + context.node_config["partition-id"]))
    arrays = {name: Array(array.numpy() + step) for name, array in message.content["arrays"].items()}
    metrics = MetricRecord({"num-examples": 1})
    return Message(RecordDict({"arrays": ArrayRecord(array_dict=arrays), "metrics": metrics}), reply_to=message)
