"""Losses of batches: never told too small, whatever the grid, and in little memory whatever the noise and the steps."""

import math
import subprocess
import sys
import threading

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from shieldwall.accounting import Poisson, Release, epsilon_of, losses, noise_multiplier_for
from shieldwall.accounting.floor import MOST_EPSILON, MOST_STEPS, least_epsilon
from shieldwall.accounting.gaussian import mu_of_epsilon
from shieldwall.accounting.losses import Batches, composed, epsilon_of_batches, grid_of

MOST_RELEASES = MOST_STEPS * 11 // 10
"""With the rounds that may be repeated."""
MEGABYTES = 100
"""What all of the noise below may take, in a process that has counted something before."""
DEAREST = [
    (999.0, 1e-8, MOST_RELEASES, 0.5),
    (1000.0, 1e-5, MOST_RELEASES, 1.0),
    (1000.0, 1e-8, MOST_RELEASES, 1e-4),
    (1000.0, 1e-8, MOST_RELEASES, 0.01),
    (1000.0, 1e-10, 1000, 0.1),
]
"""ε, δ, releases and rate: of a thousand specs those that took most, 514 MB on a grid of 0.001."""
MEASURED = f"""
import resource
from shieldwall.accounting import Poisson, noise_multiplier_for
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
noise_multiplier_for(1.0, 1e-5, 10, Poisson(0.1))
before = peak()
for epsilon, delta, releases, rate in {DEAREST}:
    noise_multiplier_for(epsilon, delta, releases, Poisson(rate))
print((peak() - before) // 1024)
"""


def test_no_spec_makes_the_accountant_take_much_memory():
    told = subprocess.run([sys.executable, "-c", MEASURED], capture_output=True, text=True, check=True)
    assert int(told.stdout) < MEGABYTES


@settings(max_examples=40, deadline=None)
@given(
    noise=st.floats(math.log(0.01), math.log(1e4)).map(math.exp),
    rate=st.floats(math.log(1e-9), 0.0).map(math.exp),
    count=st.integers(0, 20).map(lambda power: min(2**power, MOST_RELEASES)),
)
def test_the_grid_leaves_as_many_losses_as_fit(noise, rate, count):
    assume(least_epsilon(noise, rate, count, 1e-8) <= MOST_EPSILON)
    batches = Batches(noise, rate, count)
    assert composed(batches, grid_of([batches])).size <= losses.MOST_POINTS * 1.05


def test_several_kinds_of_batches_share_what_fits():
    kinds = [Batches(noise, 0.5, 100_000) for noise in (6.0, 7.0, 8.0)]
    assert sum(composed(each, grid_of(kinds)).size for each in kinds) <= losses.MOST_POINTS * 1.05


@pytest.mark.parametrize("most", [2000, losses.MOST_POINTS])
@pytest.mark.parametrize("count", [1, 1000, 100_000, 1_000_000])
@pytest.mark.parametrize("epsilon", [0.1, 1.0, 10.0, 100.0, 650.0, 720.0, 999.0])
def test_no_grid_makes_epsilon_smaller_than_it_is(monkeypatch, most, count, epsilon):
    monkeypatch.setattr(losses, "MOST_POINTS", most)
    batches = Batches(math.sqrt(count) / mu_of_epsilon(epsilon, 1e-8), 1.0, count)
    assert epsilon_of_batches([batches], 1e-8) >= epsilon


@pytest.mark.parametrize("count", [1, 1000, 100_000, 1_000_000])
@pytest.mark.parametrize("epsilon", [1.0, 10.0, 100.0, 650.0, 720.0, 999.0])
def test_the_grid_that_fits_makes_it_little_larger(count, epsilon):
    batches = Batches(math.sqrt(count) / mu_of_epsilon(epsilon, 1e-6), 1.0, count)
    assert epsilon_of_batches([batches], 1e-6) <= epsilon * (1.01 if count < MOST_STEPS else 1.04)


@pytest.mark.parametrize(("noise", "rate", "count"), [(1.0, 0.01, 1000), (0.5, 0.1, 100), (9.5, 0.23, 275)])
def test_a_coarser_grid_makes_it_larger_with_batches_too(monkeypatch, noise, rate, count):
    batches, told = [Batches(noise, rate, count)], []
    for most in (losses.MOST_POINTS, 1000, 300):
        monkeypatch.setattr(losses, "MOST_POINTS", most)
        told.append(epsilon_of_batches(batches, 1e-6))
    assert told == sorted(told)


@pytest.mark.parametrize(("epsilon", "count"), [(5.0, 100_000), (20.0, 70_000), (20.0, 100_000), (50.0, 100_000)])
def test_double_precision_does_not_make_it_smaller(epsilon, count):
    noise = math.sqrt(count) / mu_of_epsilon(epsilon, 1.2e-10)
    assert epsilon_of_batches([Batches(noise, 1.0, count)], 1.2e-10) >= epsilon


def test_where_rounding_might_be_all_of_delta_no_epsilon_is_told():
    assert epsilon_of({Release(5000.0, Poisson(0.01)): 1_000_000}, 1e-10) == math.inf
    assert epsilon_of({Release(5000.0, Poisson(0.01)): 50_000}, 1e-10) < 1.0
    with pytest.raises(ValueError, match="no noise multiplier"):
        noise_multiplier_for(1.0, 1e-10, 1_000_000, Poisson(0.01))


def test_threads_count_one_after_the_other(monkeypatch):
    inside, most = [], []

    def counted(batches):
        inside.append(batches)
        most.append(len(inside))
        threading.Event().wait(0.05)
        inside.remove(batches)
        return 0.01

    monkeypatch.setattr(losses, "grid_of", counted)
    threads = [
        threading.Thread(target=epsilon_of_batches, args=([Batches(noise, 0.1, 1)], 1e-5)) for noise in (3.0, 4.0, 5.0)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == [1, 1, 1]
