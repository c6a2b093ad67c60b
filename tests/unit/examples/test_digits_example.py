import math

import numpy as np
import pytest
from flwr.app import Array, ArrayRecord, ConfigRecord, Message, RecordDict

from shieldwall.runtime.model import Model

CONFIG = {"lr": 0.1, "local-epochs": 8, "batch-size": 16, "alpha": 3.0}
PARTITIONS = 10


@pytest.fixture
def task(example):
    return example("digits.task")


@pytest.fixture
def client(example, process_grid, task_identity):
    return process_grid(example("digits.client_app").app, PARTITIONS, CONFIG)


def ask(client, kind, arrays, node_id=3):
    record = ArrayRecord({name: Array(array) for name, array in arrays.items()})
    content = RecordDict({"arrays": record, "config": ConfigRecord({"server-round": 1})})
    return client.send_and_receive([Message(content, node_id, kind, group_id="1")])[0]


def test_a_client_answers_with_the_models_arrays_and_its_number_of_examples(client, task):
    arrays = task.initial_arrays({})
    reply = ask(client, "train", arrays)
    _, labels, _, _ = task.load_data(2, PARTITIONS, CONFIG["alpha"])
    assert reply.has_content()
    metrics = dict(reply.content["metrics"])
    assert metrics["num-examples"] == len(labels)
    assert 0 < metrics["train_loss"] < task.score(arrays, *task.load_data(2, PARTITIONS, CONFIG["alpha"])[:2])["loss"]
    trained = Model.of({name: array.numpy() for name, array in reply.content["arrays"].items()})
    assert trained.schema == Model.of(arrays).schema
    assert trained.sha256 != Model.of(arrays).sha256


def test_a_client_evaluates_on_its_own_test_images(client, task):
    metrics = ask(client, "evaluate", task.initial_arrays({})).content["metrics"]
    assert metrics["num-examples"] == len(task.load_data(2, PARTITIONS, CONFIG["alpha"])[3])
    assert 0 <= metrics["eval_acc"] <= 1


def test_the_initial_model_is_the_same_for_the_same_seed(task):
    first, again, other = (Model.of(task.initial_arrays(config)).sha256 for config in ({}, {"seed": 0}, {"seed": 1}))
    assert first == again != other


def test_every_image_but_the_held_out_belongs_to_one_client(task):
    _, labels = task.load_images()
    parts = task.partition(labels[task.HELD_OUT :], PARTITIONS, CONFIG["alpha"])
    assert sorted(np.concatenate(parts)) == list(range(len(labels) - task.HELD_OUT))
    assert len(task.load_held_out()[1]) == task.HELD_OUT


def test_clients_hold_different_mixes_of_digits(task):
    shares = [
        np.bincount(task.load_data(i, PARTITIONS, CONFIG["alpha"])[1], minlength=10) / 10 for i in range(PARTITIONS)
    ]
    assert max(np.abs(a / a.sum() - b / b.sum()).sum() for a in shares for b in shares) > 0.5


def test_the_score_of_a_ruined_model_is_a_finite_number(task):
    ruined = {name: np.full_like(array, 1e12) for name, array in task.initial_arrays({}).items()}
    ruined["out.weight"][:, 0] = -1e12
    assert all(math.isfinite(value) for value in task.evaluate(ruined, {}).values())


def test_the_apps_own_server_runs_it_without_shieldwall(example, process_grid, task_identity):
    config = CONFIG | {"num-server-rounds": 2}
    grid = process_grid(example("digits.client_app").app, 4, config)
    example("digits.server_app").app(grid, grid.context(1))
    assert grid.asked == [("train", 4), ("evaluate", 4)] * 2


@pytest.mark.parametrize(("clients", "alpha"), [(15, 0.1), (15, 0.01), (40, 0.5), (10, 1e6)])
def test_however_skewed_every_image_is_somebodys_and_nobody_has_too_few(task, clients, alpha):
    _, labels = task.load_images()
    parts = task.partition(labels[task.HELD_OUT :], clients, alpha)
    assert sorted(np.concatenate(parts)) == list(range(len(labels) - task.HELD_OUT))
    assert min(map(len, parts)) >= min(task.SMALLEST_PARTITION, 1400 // clients)
