"""Inversion of gradients whose images are known."""

import numpy as np
import pytest
from scipy.optimize import check_grad

from shieldwall.lab.privacy.clients import Records
from shieldwall.lab.privacy.gradients import batch_images, likely_classes, mismatch, single_image
from shieldwall.lab.privacy.learners import LinearClassifier, TanhNetwork, log_odds
from shieldwall.lab.tasks import CLASSES, Network, digits

TASK = digits()
LEARNER = TanhNetwork(TASK)


def some(count, seed=0):
    places = np.random.default_rng(seed).choice(len(TASK.classes), count, replace=False)
    return Records(TASK.images, TASK.classes).take(places)


@pytest.mark.parametrize("learner", [LEARNER, LinearClassifier(64)])
def test_per_record_gradients_are_those_of_the_loss_and_their_mean_is_the_mean_gradient(learner):
    own, parameters = some(3), np.random.default_rng(1).normal(0, 0.3, learner.initial(0).size)
    rows = learner.gradients(parameters, own.images, own.classes)
    assert rows.mean(axis=0) == pytest.approx(learner.mean_gradient(parameters, own.images, own.classes))

    def loss(vector):
        logits = learner.logits(vector, own.images[:1].astype(np.float64))[0]
        return np.log(np.exp(logits).sum()) - logits[own.classes[0]]

    assert check_grad(loss, lambda _: rows[0], parameters) < 1e-4


@pytest.mark.parametrize("learner", [LEARNER, LinearClassifier(64)])
def test_an_empty_batch_has_no_gradients(learner):
    own = some(1).take(np.array([], np.intp))
    assert learner.gradients(learner.initial(0), own.images, own.classes).shape == (0, learner.initial(0).size)


def test_log_odds_are_those_of_the_own_class():
    own, parameters = some(5), LEARNER.initial(3)
    logits = LEARNER.logits(parameters, own.images).astype(np.float64)
    shares = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    right = shares[np.arange(5), own.classes]
    assert log_odds(LEARNER, parameters, own.images, own.classes) == pytest.approx(
        np.log(right / (1 - right)), rel=1e-4
    )


@pytest.mark.parametrize("factor", [1.0, 1e-3, 50.0])
def test_one_record_is_in_its_gradient_exactly_whatever_its_length(factor):
    own, parameters = some(1), LEARNER.initial(0)
    gradient = factor * LEARNER.mean_gradient(parameters, own.images, own.classes)
    assert single_image(gradient) == pytest.approx(own.images[0], abs=1e-3)


def test_a_gradient_of_nothing_has_an_image_of_nothing():
    image = single_image(np.zeros(LEARNER.initial(0).size))
    assert np.isfinite(image).all()
    assert image.max() <= 1.0


def test_classes_are_in_the_gradient_of_the_last_bias():
    own, parameters = some(4, seed=3), LEARNER.initial(0)
    found = likely_classes(LEARNER.mean_gradient(parameters, own.images, own.classes), 4)
    assert sorted(found) == sorted(own.classes)


def test_the_mismatch_has_the_gradient_that_it_says():
    own, parameters = some(2), Network.of(LEARNER.initial(0).astype(np.float64))
    other = some(2, seed=9)
    wanted = Network.of(LEARNER.mean_gradient(LEARNER.initial(0), other.images, other.classes).astype(np.float64))
    right = np.eye(CLASSES)[own.classes]

    def at(flat):
        return mismatch(flat.reshape(2, -1), right, parameters, wanted)

    start = own.images.astype(np.float64).reshape(-1)
    assert check_grad(lambda flat: at(flat)[0], lambda flat: at(flat)[1].reshape(-1), start) < 1e-5


def test_a_batch_is_found_from_a_random_start():
    own, parameters = some(3, seed=4), LEARNER.initial(1)
    gradient = LEARNER.mean_gradient(parameters, own.images, own.classes)
    found = batch_images(gradient, parameters, 3, np.random.default_rng(0))
    likeness = [[np.abs(image - original).mean() for image in found] for original in own.images]
    assert np.min(likeness, axis=1) == pytest.approx(np.zeros(3), abs=0.02)
