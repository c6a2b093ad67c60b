"""Adaptive clipping: the update's noise and the count's together spend what one noise multiplier says."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shieldwall.accounting import CountTooLoudError, Release, epsilon_of, update_noise


@given(noise=st.floats(0.1, 50.0), factor=st.floats(1.05, 100.0), rounds=st.integers(1, 200))
def test_both_releases_cost_what_the_one_does(noise, factor, rounds):
    count_noise = noise * factor
    own = update_noise(noise, count_noise)
    assert own > noise
    both = epsilon_of({Release(own): rounds, Release(count_noise): rounds}, 1e-5)
    assert both == pytest.approx(epsilon_of({Release(noise): rounds}, 1e-5), rel=1e-6, abs=1e-9)


@given(added=st.floats(0.1, 20.0), factor=st.floats(0.6, 50.0))
def test_it_is_theorem_1_where_one_client_is_added(added, factor):
    """Andrew et al. count noise in parts of C and a centred count that moves by 1/2: z and z_Δ are twice ours."""
    count_noise = added * factor
    theirs = (added**-2 - (2 * count_noise) ** -2) ** -0.5
    assert update_noise(added / 2, count_noise) == pytest.approx(theirs / 2)


def test_replacing_one_client_moves_the_count_by_one():
    """The sensitivity that makes σ_b the count's multiplier: from within the clip to beyond it."""
    norms, clip = [0.5, 0.7, 3.0], 1.0
    within = sum(norm <= clip for norm in norms)
    assert within - sum(norm <= clip for norm in [9.0, *norms[1:]]) == 1


@pytest.mark.parametrize("noise", [0.5, 0.51, 37.3])
def test_a_count_that_spends_all_there_is_leaves_nothing(noise):
    """The guide's sample: multiplier 1.1 as Flower counts is 0.55 here, and a cohort of ten has σ_b = 10/20."""
    with pytest.raises(CountTooLoudError, match="has to be above"):
        update_noise(noise, 0.5)


def test_a_count_with_much_noise_costs_next_to_nothing():
    assert update_noise(1.0, 50.0) == pytest.approx(1.0, rel=1e-3)
    assert math.isclose(update_noise(1.0, 1.001), 22.4, rel_tol=0.01)
