"""Noise and ε against dp-accounting's own answers, and against the figures that the defences are described by."""

import math

import dp_accounting as dpa
import pytest
from dp_accounting import NeighboringRelation
from dp_accounting.pld import PLDAccountant
from dp_accounting.rdp import RdpAccountant
from hypothesis import given, settings
from hypothesis import strategies as st

from shieldwall.accounting import (
    EpsilonUnknownError,
    FixedSize,
    Poisson,
    Release,
    epsilon_of,
    noise_multiplier_for,
    releases_within,
)

DELTA = 1e-5
ADD, REPLACE = NeighboringRelation.ADD_OR_REMOVE_ONE, NeighboringRelation.REPLACE_ONE

NOISES = st.floats(0.3, 60.0)
COUNTS = st.integers(1, 300)
DELTAS = st.sampled_from([1e-9, 1e-5, 1e-3, 0.01])
EPSILONS = st.floats(0.01, 50.0)


def by_distributions(noise, count, delta=DELTA):
    """dp-accounting's privacy loss distributions of the Gaussian mechanism: one unit changes it by 1/noise."""
    accountant = PLDAccountant(ADD, value_discretization_interval=1e-3)
    accountant.compose(dpa.GaussianDpEvent(noise), count)
    return accountant.get_epsilon(delta)


@pytest.mark.parametrize(
    ("epsilon", "releases", "noise"),
    [
        (1, 1, 3.73), (1, 10, 11.80), (1, 50, 26.38), (1, 100, 37.31),
        (8, 1, 0.60), (8, 10, 1.90), (8, 50, 4.24), (8, 100, 6.00),
    ],
)  # fmt: skip
def test_the_noise_of_full_participation_is_that_of_the_table(epsilon, releases, noise):
    assert noise_multiplier_for(epsilon, DELTA, releases) == pytest.approx(noise, rel=0.01)


@pytest.mark.parametrize("noise", [0.6, 1.1, 3.73, 26.38])
@pytest.mark.parametrize("releases", [1, 10, 100])
def test_the_closed_form_is_what_privacy_loss_distributions_say(noise, releases):
    assert epsilon_of({Release(noise): releases}, DELTA) == pytest.approx(by_distributions(noise, releases), rel=0.01)


def test_the_closed_form_of_mixed_noise_is_what_privacy_loss_distributions_say():
    accountant = PLDAccountant(ADD, value_discretization_interval=1e-3)
    accountant.compose(dpa.GaussianDpEvent(4.0), 10)
    accountant.compose(dpa.GaussianDpEvent(9.0), 40)
    ours = epsilon_of({Release(4.0): 10, Release(9.0): 40}, DELTA)
    assert ours == pytest.approx(accountant.get_epsilon(DELTA), rel=0.01)


def test_the_closed_form_is_below_what_renyi_divergences_say():
    accountant = RdpAccountant(None, ADD)
    accountant.compose(dpa.GaussianDpEvent(26.38), 50)
    assert epsilon_of({Release(26.38): 50}, DELTA) < accountant.get_epsilon(DELTA)


def test_the_figure_that_krum_is_known_by_is_of_another_adjacency_and_a_looser_accountant():
    """Noise for ε = 1 of a mean that leaves a client of ten out, C/n, on Krum's 2C: 38.6 by Rényi, exactly 36.5.

    Noise for a client that is replaced, 2C/n, gives Krum of ten 14.4.
    """
    noise = noise_multiplier_for(1, DELTA, 50)
    accountant = RdpAccountant(None, ADD)
    accountant.compose(dpa.GaussianDpEvent(noise / 20), 50)
    assert accountant.get_epsilon(DELTA) == pytest.approx(38.6, rel=0.01)
    assert epsilon_of({Release(noise / 20): 50}, DELTA) == pytest.approx(36.5, rel=0.01)
    assert epsilon_of({Release(noise / 10): 50}, DELTA) == pytest.approx(14.4, rel=0.01)


@pytest.mark.parametrize(("rate", "noise", "steps"), [(0.1, 1.0, 50), (32 / 140, 2.0, 110), (256 / 10_000, 0.8, 500)])
def test_batches_cost_what_dp_accounting_says_of_replaced_records(rate, noise, steps):
    """There noise is counted in parts of what adding one record changes: half of what replacing one does."""
    event = dpa.PoissonSampledDpEvent(rate, dpa.GaussianDpEvent(2 * noise))
    finer = PLDAccountant(REPLACE, value_discretization_interval=2e-4)
    finer.compose(event, steps)
    ours = epsilon_of({Release(noise, Poisson(rate)): steps}, DELTA)
    assert ours == pytest.approx(finer.get_epsilon(DELTA), rel=0.01)
    assert ours <= epsilon_of({Release(noise): steps}, DELTA) * 1.01


def test_a_batch_of_everything_is_no_sampling():
    assert epsilon_of({Release(3.0, Poisson(1.0)): 20}, DELTA) == pytest.approx(
        epsilon_of({Release(3.0): 20}, DELTA), rel=0.01
    )


@pytest.mark.parametrize(("population", "sample", "noise", "rounds"), [(100, 10, 3.0, 50), (1000, 100, 1.0, 100)])
def test_samples_of_clients_cost_what_dp_accounting_says(population, sample, noise, rounds):
    event = dpa.SampledWithoutReplacementDpEvent(population, sample, dpa.GaussianDpEvent(noise))
    accountant = RdpAccountant(None, REPLACE)
    accountant.compose(event, rounds)
    ours = epsilon_of({Release(noise, FixedSize(population, sample)): rounds}, DELTA)
    assert ours == pytest.approx(accountant.get_epsilon(DELTA), rel=1e-9)
    assert ours < epsilon_of({Release(noise): rounds}, DELTA)


@pytest.mark.parametrize(
    ("epsilon", "sampling"),
    [
        (1.0, None),
        (8.0, None),
        (1.0, Poisson(32 / 140)),
        (8.0, Poisson(32 / 140)),
        (1.0, FixedSize(40, 10)),
        (1000.0, Poisson(0.01)),
    ],
)
def test_the_noise_is_enough_and_hardly_more(epsilon, sampling):
    noise = noise_multiplier_for(epsilon, DELTA, 50, sampling)
    assert epsilon_of({Release(noise, sampling): 50}, DELTA) <= epsilon
    assert epsilon_of({Release(noise * 0.998, sampling): 50}, DELTA) > epsilon


@settings(max_examples=60)
@given(epsilon=EPSILONS, delta=DELTAS, releases=COUNTS)
def test_calibrated_noise_never_spends_more_than_it_may(epsilon, delta, releases):
    noise = noise_multiplier_for(epsilon, delta, releases)
    spent = epsilon_of({Release(noise): releases}, delta)
    assert 0.99 * epsilon - 1e-3 <= spent <= epsilon * (1 + 1e-9)
    assert releases_within(epsilon * (1 + 1e-9), delta, noise) >= releases


@settings(max_examples=60)
@given(noise=NOISES, more=st.floats(1.01, 3.0), count=COUNTS, delta=DELTAS)
def test_less_noise_more_releases_and_a_smaller_delta_cost_more(noise, more, count, delta):
    spent = epsilon_of({Release(noise): count}, delta)
    assert epsilon_of({Release(noise * more): count}, delta) <= spent
    assert epsilon_of({Release(noise): count + 1}, delta) >= spent
    assert epsilon_of({Release(noise): count}, delta / 2) >= spent
    assert epsilon_of({Release(noise): count, Release(noise * more): 1}, delta) >= spent


@settings(max_examples=60)
@given(noise=NOISES, count=st.integers(2, 300), delta=DELTAS, data=st.data())
def test_what_is_released_in_two_parts_costs_what_it_costs_at_once(noise, count, delta, data):
    part = data.draw(st.integers(1, count - 1))
    together = epsilon_of({Release(noise): count}, delta)
    apart = epsilon_of({Release(noise): part, Release(noise * (1 + 1e-12)): count - part}, delta)
    assert apart == pytest.approx(together, rel=1e-6, abs=1e-9)


@settings(max_examples=60, deadline=None)
@given(epsilon=EPSILONS, delta=DELTAS, noise=NOISES)
def test_so_many_releases_fit_and_not_one_more(epsilon, delta, noise):
    fit = releases_within(epsilon, delta, noise)
    assert fit == 0 or epsilon_of({Release(noise): fit}, delta) <= epsilon
    assert fit == 1_000_000 or epsilon_of({Release(noise): fit + 1}, delta) > epsilon


def test_nothing_released_costs_nothing():
    assert epsilon_of({}, DELTA) == 0
    assert epsilon_of({Release(1.0): 0}, DELTA) == 0


def test_what_no_accountant_covers_is_refused():
    with pytest.raises(EpsilonUnknownError):
        epsilon_of({Release(1.0, Poisson(0.1)): 1, Release(1.0, FixedSize(10, 5)): 1}, DELTA)


def test_noise_that_drowns_everything_is_no_answer():
    with pytest.raises(ValueError, match="no noise multiplier up to 10000"):
        noise_multiplier_for(0.001, DELTA, 100_000)


def test_an_epsilon_beyond_a_million_is_infinite():
    assert epsilon_of({Release(1e-4): 1}, DELTA) == math.inf


@pytest.mark.parametrize("noise", [0.0, -1.0, math.inf, math.nan])
def test_what_is_no_noise_is_refused(noise):
    with pytest.raises(ValueError, match="positive number"):
        Release(noise)


@pytest.mark.parametrize("rate", [0.0, 1.1])
def test_a_rate_beyond_one_is_refused(rate):
    with pytest.raises(ValueError, match=r"lies in \(0, 1\]"):
        Poisson(rate)


@pytest.mark.parametrize("sample", [0, 11])
def test_a_sample_larger_than_its_population_is_refused(sample):
    with pytest.raises(ValueError, match="cannot be drawn from 10"):
        FixedSize(10, sample)
