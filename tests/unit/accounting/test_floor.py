"""The lower bound of ε never passes what accountants say, and spares them what fills the memory."""

import math

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from shieldwall.accounting import Poisson, Release, accountant, epsilon_of, noise_multiplier_for
from shieldwall.accounting.floor import MOST_EPSILON, MOST_STEPS, least_epsilon
from shieldwall.accounting.gaussian import epsilon_of_mu

DELTA = 1e-5


@settings(max_examples=200, deadline=None)
@given(noise=st.floats(0.05, 20.0), count=st.integers(1, 10_000), delta=st.sampled_from([1e-9, 1e-3, 0.3, 0.7]))
def test_without_sampling_it_is_below_the_exact_epsilon(noise, count, delta):
    assert least_epsilon(noise, 1.0, count, delta) <= epsilon_of_mu(math.sqrt(count) / noise, delta)


@settings(max_examples=25, deadline=None)
@given(noise=st.floats(0.1, 3.0), rate=st.floats(1e-4, 1.0), count=st.integers(1, 500))
def test_with_batches_it_is_below_what_distributions_of_losses_say(noise, rate, count):
    least = least_epsilon(noise, rate, count, DELTA)
    assume(least <= MOST_EPSILON)
    assert least <= epsilon_of({Release(noise, Poisson(rate)): count}, DELTA)


@pytest.mark.parametrize(
    ("noise", "rate", "count"),
    [(0.1, 0.1, 100), (0.05, 0.001, 10_000), (0.1, 0.01, 10_000), (0.3, 0.5, 1000), (1.0, 1.0, 500)],
)
def test_it_is_a_sixth_of_what_distributions_say_at_least_where_noise_hides_little(noise, rate, count):
    assert least_epsilon(noise, rate, count, DELTA) * 6 >= epsilon_of({Release(noise, Poisson(rate)): count}, DELTA)


@pytest.mark.parametrize(
    ("noise", "rate", "count"), [(0.01, 0.5, 110_000), (0.01, 1.0, 1), (0.02, 0.01, 10_000), (1.0, 0.9, MOST_STEPS)]
)
def test_what_hides_nothing_is_told_without_any_distribution(monkeypatch, noise, rate, count):
    monkeypatch.setattr(accountant, "epsilon_of_batches", lambda *_: pytest.fail("a distribution of losses is made"))
    assert epsilon_of({Release(noise, Poisson(rate)): count, Release(5.0, Poisson(rate)): 1}, DELTA) == math.inf


@pytest.mark.parametrize(("rate", "count"), [(1.0, 100), (1.0, 3), (0.9, 1000)])
def test_noise_is_found_also_from_where_less_of_it_hides_nothing(rate, count):
    noise = noise_multiplier_for(999.0, DELTA, count, Poisson(rate))
    assert 990 <= epsilon_of({Release(noise, Poisson(rate)): count}, DELTA) <= 999
    assert epsilon_of({Release(noise / 2, Poisson(rate)): count}, DELTA) == math.inf
