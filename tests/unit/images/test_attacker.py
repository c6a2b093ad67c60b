"""The attacker's app: the honest one, but for what it sends."""

import json
import os
import subprocess
import sys

import pytest

from shieldwall.local.attackers.updates import SIGN_FLIP_SCALE

PROGRAM = """
import json, sys
import numpy as np
from flwr.app import Array, ArrayRecord, ConfigRecord, Context, Message, RecordDict
from flwr.supercore.task_identity import TaskIdentity

for name, value in (("_run_id", 7), ("_node_id", 1), ("_task_id", 1)):
    setattr(TaskIdentity, name, value)
import digits.client_app as attacker
import digits.task as task

base = {"hidden.weight": np.full((64, 64), 1, np.float32)}
attacker.train_honestly = lambda arrays, *_: ({name: array + 2 for name, array in arrays.items()}, 0.5)
attacker.score = lambda *_: {"loss": 0.5, "accuracy": 0.25}
content = RecordDict({"arrays": ArrayRecord({name: Array(array) for name, array in base.items()})})
config = {"alpha": 3.0, "local-epochs": 1, "batch-size": 16, "lr": 0.1}
context = Context(7, 1, {"partition-id": 0, "num-partitions": 10}, RecordDict(), config)
answers = {kind: attacker.app(Message(content, 1, kind, group_id="1"), context) for kind in ("train", "evaluate")}
lie = answers["train"].content["arrays"]["hidden.weight"].numpy()
json.dump({
    "files": [attacker.__file__, task.__file__],
    "lie": sorted(set(lie.ravel().tolist())),
    "shape": list(lie.shape),
    "type": str(lie.dtype),
    "examples": answers["train"].content["metrics"]["num-examples"],
    "accuracy": answers["evaluate"].content["metrics"]["eval_acc"],
}, sys.stdout)
"""


@pytest.fixture(scope="module")
def answer(root):
    path = [root / "e2e/images/attacker", root / "examples/digits", root / "operator"]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(map(str, path)), "FLWR_TELEMETRY_ENABLED": "0"}
    run = subprocess.run([sys.executable, "-c", PROGRAM], env=environment, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    return json.loads(run.stdout)


def test_only_the_client_app_is_the_attackers(answer, root):
    client_app, task = answer["files"]
    assert client_app == str(root / "e2e/images/attacker/digits/client_app.py")
    assert task == str(root / "examples/digits/digits/task.py")


def test_the_update_is_reversed_and_enlarged_as_in_local_mode(answer):
    assert answer["lie"] == [1 - SIGN_FLIP_SCALE * 2]
    assert (answer["shape"], answer["type"]) == ([64, 64], "float32")


def test_all_else_is_as_an_honest_client_would_answer(answer):
    assert answer["examples"] > 40
    assert answer["accuracy"] == 0.25
