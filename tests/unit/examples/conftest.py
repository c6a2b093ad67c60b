"""The examples' packages and a Grid whose nodes answer in this process."""

import importlib
import sys
from pathlib import Path

import pytest
from flwr.app import Context, Message, RecordDict
from flwr.proto.node_pb2 import NodeInfo
from flwr.serverapp import Grid
from flwr.supercore.task_identity import TaskIdentity

EXAMPLES = Path(__file__).parents[3] / "examples"


class ProcessGrid(Grid):
    """Nodes 1 to n, each with its partition, that call ``client_app``."""

    def __init__(self, client_app, n, run_config):
        self.client_app, self.n, self.run_config = client_app, n, run_config
        self.asked = []

    def context(self, node_id):
        node_config = {"partition-id": node_id - 1, "num-partitions": self.n}
        return Context(7, node_id, node_config, RecordDict(), self.run_config)

    def send_and_receive(self, messages, *, timeout=None):  # answers come at once
        asked = list(messages)
        self.asked.append((asked[0].metadata.message_type, len(asked)))
        return [self.client_app(message, self.context(message.metadata.dst_node_id)) for message in asked]

    def get_node_ids(self):
        return range(1, self.n + 1)

    def get_nodes(self):
        return [NodeInfo(node_id=node_id) for node_id in self.get_node_ids()]

    def create_message(self, content, message_type, dst_node_id, group_id, ttl=None):
        return Message(content, dst_node_id, message_type, ttl=ttl, group_id=group_id)

    def push_messages(self, messages):
        raise NotImplementedError

    def pull_messages(self, message_ids):
        raise NotImplementedError

    def set_run(self, run):
        raise NotImplementedError

    @property
    def run(self):
        raise NotImplementedError


@pytest.fixture(scope="session")
def example():
    """Import a module of an example, as it is when the example is installed."""
    sys.path[:0] = [str(EXAMPLES / name) for name in ("digits", "quickstart")]
    return importlib.import_module


@pytest.fixture
def task_identity(monkeypatch):
    """What Flower sets in the process of a task."""
    for name, value in (("_run_id", 7), ("_node_id", 1), ("_task_id", 1)):
        monkeypatch.setattr(TaskIdentity, name, value)


@pytest.fixture(scope="session")
def examples_directory():
    return EXAMPLES


@pytest.fixture(scope="session")
def process_grid():
    return ProcessGrid
