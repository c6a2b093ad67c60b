"""Images from what leaves a client, in every mode of privacy."""

import numpy as np
import pytest

from shieldwall.contract.privacy import PrivacyMode
from shieldwall.lab.privacy.clients import Pupil, Recipe, Records
from shieldwall.lab.privacy.inversion import Aim, invert, measured
from shieldwall.lab.privacy.learners import TanhNetwork
from shieldwall.lab.privacy.sightings import single_step
from shieldwall.lab.tasks import digits

pytestmark = pytest.mark.usefixtures("laboratory")
TASK = digits()
LEARNER = TanhNetwork(TASK)


def attacked(privacy, records=1, victims=6):
    return measured(invert(TASK, Aim(privacy, 4, records, victims), 0), records, np.random.default_rng(0))


def test_without_privacy_one_records_image_is_recovered_exactly():
    found = attacked(None)
    assert found.signal_to_noise.low > 60
    assert found.structure.low > 0.99
    assert found.identified.value == 1.0


def test_without_privacy_images_of_a_batch_are_recovered():
    found = attacked(None, records=3, victims=3)
    assert found.correlation.value > 0.8
    assert len(found.pairs) == 9


@pytest.mark.parametrize("mode", list(PrivacyMode))
def test_with_privacy_nothing_is_recovered(policies, mode):
    found = attacked(policies.privacy(mode, epsilon=8.0))
    assert abs(found.correlation.value) < 0.25
    assert found.structure.high < 0.3
    assert found.identified.value < 0.5


@pytest.mark.parametrize("mode", list(PrivacyMode))
def test_what_is_seen_is_the_clipped_gradient_once_there_is_no_noise(policies, mode):
    """The same in all modes: attacks on them differ by their noise alone."""
    own = Records(TASK.images, TASK.classes).take(np.array([3]))
    pupil, parameters = Pupil(LEARNER, [own], Recipe(0.1, 1, 0.1)), LEARNER.initial(0)
    silent = policies.privacy(mode).model_copy(update={"noise_multiplier": 1e-9, "clip": 1e-3})
    gradient = LEARNER.mean_gradient(parameters, own.images, own.classes)
    # A step of DP-SGD clips the gradient, the other modes clip the update, which is as much shorter as the rate is.
    length = 1e-3 if mode is PrivacyMode.RECORD_LEVEL else 1e-3 / 0.1
    seen = single_step(pupil, parameters, silent, 4, np.random.default_rng(0))
    assert seen == pytest.approx(gradient * length / np.linalg.norm(gradient), abs=1e-4)


def test_noise_of_a_release_is_that_of_one_clients_replacement(policies):
    """Taken to one client's scale the central noise is z·2C, as where the client adds it itself."""
    own = Records(TASK.images, TASK.classes).take(np.array([3]))
    pupil, parameters = Pupil(LEARNER, [own], Recipe(1.0, 1, 1.0)), LEARNER.initial(0)
    for mode in (PrivacyMode.CLIENT_LEVEL_CENTRAL, PrivacyMode.CLIENT_LEVEL_LOCAL):
        privacy = policies.privacy(mode)
        seen = single_step(pupil, parameters, privacy, 4, np.random.default_rng(0))
        assert seen.std() == pytest.approx(2 * privacy.clip * privacy.noise_multiplier, rel=0.05)
