"""How like two images are."""

import numpy as np
import pytest

from shieldwall.lab.privacy.features import stroke_features
from shieldwall.lab.privacy.similarity import correlation, identified, signal_to_noise, structure
from shieldwall.lab.tasks import digits, mnist

IMAGES = digits().images


def test_an_image_is_like_itself():
    image = IMAGES[0]
    assert signal_to_noise(image, image) == 100.0
    assert correlation(image, image) == pytest.approx(1.0)
    assert structure(image, image) == pytest.approx(1.0)


def test_figures_by_hand():
    image = np.tile([0.2, 0.8], 32)
    assert signal_to_noise(image, image + 0.1) == pytest.approx(20.0)
    assert correlation(image, 1 - image) == pytest.approx(-1.0)
    assert correlation(image, 0.5 * image + 0.1) == pytest.approx(1.0), "brightness and contrast do not count"
    assert correlation(image, np.full(64, 0.3)) == 0.0


def test_structure_is_lost_in_noise():
    noise = np.random.default_rng(0).random(64)
    assert structure(IMAGES[0], noise) < 0.3
    assert structure(IMAGES[0], IMAGES[0] + 0.02 * noise) > 0.8


def test_an_image_is_told_from_others_by_its_likeness():
    assert identified(3, IMAGES[3] + 0.1, IMAGES[:100])
    assert not identified(4, IMAGES[3], IMAGES[:100])


@pytest.mark.parametrize("task", [digits, mnist])
def test_features_have_norm_1_and_say_nothing_of_brightness_or_of_other_images(task):
    images = task().images[:20]
    features = stroke_features(images)
    assert np.linalg.norm(features, axis=1) == pytest.approx(np.ones(20), abs=1e-5)
    assert stroke_features(0.5 * images) == pytest.approx(features, abs=1e-5)
    assert stroke_features(images[4:5])[0] == pytest.approx(features[4], abs=1e-6)


def test_an_image_of_nothing_has_no_features():
    assert not stroke_features(np.zeros((1, 64), np.float32)).any()
