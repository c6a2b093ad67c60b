"""Digits under differential privacy for each image: what ``shieldwall run`` of training-private.yaml comes to."""

import numpy as np
import pytest
from flwr.app import Array, ArrayRecord, Context, Message, RecordDict
from ruamel.yaml import YAML

from shieldwall.control.api.calibration import calibrated
from shieldwall.control.api.parse import parse_training
from shieldwall.runtime.privacy.client import answer
from shieldwall.runtime.privacy.dp_sgd import NoSessionError

SEEDS = 4


@pytest.fixture
def spec(examples_directory):
    return parse_training(YAML(typ="safe").load(examples_directory / "digits" / "training-private.yaml")).spec


@pytest.fixture
def app(example):
    return example("digits.private")


def ask(app, spec, weight, client, how):
    """One client's noised weights; ``how`` is a policy and what draws the noise."""
    arrays = ArrayRecord(array_dict={"weight": Array(weight)})
    place = {"partition-id": client, "num-partitions": len(spec.clients)}
    context = Context(7, client + 1, place, RecordDict(), dict(spec.app.config))
    question = Message(RecordDict({"arrays": arrays}), client + 1, "train")
    return answer(app.app, question, context, *how).content["arrays"]["weight"].numpy()


def accuracy(app, spec, policy, seed):
    generator, weight = np.random.default_rng(seed), app.initial_arrays({})["weight"]
    for _ in range(spec.rounds.count):
        replies = [ask(app, spec, weight, client, (policy, generator)) for client in range(len(spec.clients))]
        weight = np.mean(replies, axis=0)
    return app.evaluate({"weight": weight}, {})["accuracy"]


def test_ten_clients_with_140_images_each_learn_at_epsilon_1(app, spec, task_identity):
    policy = calibrated(spec)
    found = [accuracy(app, spec, policy, seed) for seed in range(SEEDS)]

    assert (policy.epsilon, policy.delta, len(spec.clients)) == (1.0, 1e-5, 10)
    assert np.mean(found) >= 0.65, found


def test_every_client_has_as_many_images_as_the_accounting_counts_on(app, spec):
    shares = [app.load_share(client, len(spec.clients)) for client in range(len(spec.clients))]

    assert {len(labels) for _, labels in shares} == {spec.privacy.records}


def test_what_is_made_of_an_image_looks_at_no_other(app, example):
    images, _ = example("digits.task").load_images()
    alone = np.concatenate([app.features(image[None]) for image in images[:20]])

    assert app.features(images[:20]) == pytest.approx(alone)
    assert np.linalg.norm(alone, axis=1) == pytest.approx(np.ones(20))


def test_the_app_does_not_train_without_privacy(app, spec, task_identity):
    with pytest.raises(NoSessionError):
        ask(app, spec, app.initial_arrays({})["weight"], 0, (None, np.random.default_rng(1)))
