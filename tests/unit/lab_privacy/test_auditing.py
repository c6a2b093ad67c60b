"""Lower bounds on ε against what comes out by hand, and against a mechanism whose ε is known."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shieldwall.lab.privacy.auditing import (
    Guesses,
    NoAuditError,
    guessed,
    least_epsilon,
    likelihood,
    lower_bound,
    slots_for,
)


def test_without_delta_right_guesses_are_heads_of_a_coin():
    heads = math.e / (1 + math.e)
    assert likelihood(Guesses(10, 3, 3), 1.0, 0.0) == pytest.approx(heads**3)
    assert likelihood(Guesses(10, 3, 2), 1.0, 0.0) == pytest.approx(heads**3 + 3 * heads**2 * (1 - heads))


def test_delta_adds_what_every_slot_may_tell_by_chance():
    """All 2 of 2 right at ε = 0: 1/4, and 2·m·δ times the larger of 1/2 and (1/2 + 1/4)/2."""
    assert likelihood(Guesses(100, 2, 2), 0.0, 1e-3) == pytest.approx(0.25 + 2 * 100 * 1e-3 * 0.5)


def test_epsilon_is_refuted_up_to_where_the_guesses_become_likely():
    coin = 0.05 ** (1 / 10)
    assert least_epsilon(Guesses(10, 10, 10), 0.0, 0.05) == pytest.approx(math.log(coin / (1 - coin)), abs=1e-3)
    assert least_epsilon(Guesses(100, 100, 50), 0.0, 0.05) == 0.0


@given(right=st.integers(0, 60), delta=st.sampled_from([0.0, 1e-6, 1e-4]), epsilon=st.floats(0.0, 6.0))
def test_more_right_guesses_are_less_likely_and_a_larger_epsilon_or_delta_makes_them_likelier(right, delta, epsilon):
    guesses, more = Guesses(100, 60, right), Guesses(100, 60, min(right + 1, 60))
    likely = likelihood(guesses, epsilon, delta)
    assert likelihood(more, epsilon, 0.0) <= likelihood(guesses, epsilon, 0.0) + 1e-12
    assert likely <= likelihood(guesses, epsilon, 10 * delta) + 1e-12
    assert likelihood(guesses, epsilon, 0.0) <= likelihood(guesses, epsilon + 0.5, 0.0) + 1e-12


def test_the_surest_slots_are_guessed():
    scores = np.array([3.0, -2.0, 0.1, -0.1, 1.0, -3.0])
    coins = np.array([True, True, False, True, True, False])
    assert guessed(scores, coins, 2) == Guesses(6, 2, 2)
    assert guessed(scores, coins, 4) == Guesses(6, 4, 3)
    assert guessed(scores, coins, 6) == Guesses(6, 6, 3)


def randomised_response(epsilon, slots, rng):
    """Each slot tells its coin rightly with probability e^ε/(1 + e^ε), and is (ε, 0)-DP."""
    coins = rng.random(slots) < 1 / 2
    truth = rng.random(slots) < 1 / (1 + math.exp(-epsilon))
    return np.where(coins == truth, 1.0, -1.0) + rng.random(slots) * 1e-3, coins


@pytest.mark.parametrize("epsilon", [0.5, 1.0, 3.0])
def test_of_a_mechanism_with_a_known_epsilon_nearly_all_is_proved_and_never_more_than_by_its_confidence(epsilon):
    rng = np.random.default_rng(4)
    bounds = [lower_bound(*randomised_response(epsilon, 4000, rng), 0.0).epsilon for _ in range(40)]
    assert np.mean([bound > epsilon for bound in bounds]) <= 0.1
    assert np.median(bounds) > 0.75 * epsilon


def test_scores_that_tell_nothing_prove_nothing():
    rng = np.random.default_rng(5)
    bounds = [lower_bound(rng.normal(size=2000), rng.random(2000) < 1 / 2, 1e-5).epsilon for _ in range(20)]
    assert np.mean([bound > 0 for bound in bounds]) <= 0.1


def test_an_audit_has_enough_slots_to_fail_and_is_refused_where_it_cannot():
    slots = slots_for(1.0, 1e-5)
    coins = np.arange(4 * slots) % 2 == 0
    assert lower_bound(coins.astype(float), coins, 1e-5).epsilon > 1.0
    with pytest.raises(NoAuditError, match="epsilon = 9"):
        slots_for(9.0, 1e-5)
