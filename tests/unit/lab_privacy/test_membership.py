"""Membership inference on scores that are made up, and on trainings."""

import numpy as np
import pytest

from shieldwall.contract.privacy import PrivacyMode
from shieldwall.lab.privacy.attacked import bare, guarantee, private
from shieldwall.lab.privacy.clients import Federation, Recipe, Records
from shieldwall.lab.privacy.learners import TanhNetwork
from shieldwall.lab.privacy.membership import Unit, likelihood_ratios, measured, shadows, sides
from shieldwall.lab.tasks import digits

TASK = digits()


def made_up(apart, models=24, units=200, seed=0):
    """Scores that are ``apart`` higher where the unit was learnt; units differ by much more."""
    rng = np.random.default_rng(seed)
    members = sides(units, models, rng)
    return rng.normal(0, 10, units) + rng.normal(0, 1, (models, units)) + apart * members, members


def found(sure, members):
    return measured(likelihood_ratios(sure, members), np.random.default_rng(1))


def test_each_model_learns_one_half():
    assert (sides(10, 5, np.random.default_rng(0)).sum(axis=1) == 5).all()


def test_what_every_model_shows_is_told_however_much_units_differ():
    assert found(*made_up(6.0)).area.low > 0.99
    assert found(*made_up(6.0)).true_positives.low > 0.9


@pytest.mark.parametrize("models", [8, 24])
def test_what_no_model_shows_is_a_coins_toss(models):
    attack = found(*made_up(0.0, models, units=1000))
    assert attack.area.value == pytest.approx(0.5, abs=0.02)
    assert attack.true_positives.value == pytest.approx(0.01, abs=0.01)


def test_two_sigmas_give_nearly_the_area_that_they_must():
    """Φ(2/√2) = 0.921 for an attacker that knows the means exactly."""
    assert found(*made_up(2.0, 48)).area.value == pytest.approx(0.91, abs=0.02)


def attacked(policy, unit, laboratory, steps=20):
    federation = Federation(policy, TanhNetwork(TASK), Recipe(1.0, steps, 2.0), laboratory)
    drawn = np.random.default_rng(0).permutation(len(TASK.classes))[: 8 * 10]
    pool = [Records(TASK.images, TASK.classes).take(places) for places in np.split(drawn, 8)]
    return found(*shadows(federation, pool, unit, 16, np.random.default_rng(2)))


@pytest.mark.parametrize("unit", list(Unit))
def test_models_that_learnt_by_heart_tell_who_was_in(policies, laboratory, unit):
    assert attacked(bare(policies.of()), unit, laboratory).area.low > 0.6


@pytest.mark.parametrize("mode", [PrivacyMode.RECORD_LEVEL, PrivacyMode.CLIENT_LEVEL_CENTRAL])
def test_private_models_do_not(policies, laboratory, mode):
    policy = private(policies.of(mode), 10)
    unit = Unit.RECORD if mode is PrivacyMode.RECORD_LEVEL else Unit.CLIENT
    assert attacked(policy, unit, laboratory).area.low < 0.6
    assert guarantee(policy.privacy, policy.rounds.count).epsilon < 1.05


def test_the_laboratory_samples_as_the_policy_does(policies):
    policy = private(policies.of(PrivacyMode.RECORD_LEVEL), 10)
    assert (policy.privacy.records, policy.privacy.batch_size, policy.privacy.steps) == (10, 5, 2)
    assert not policy.require_signatures
