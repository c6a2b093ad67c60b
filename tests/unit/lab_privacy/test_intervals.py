"""Figures against what comes out by hand."""

import math

import numpy as np
import pytest

from shieldwall.lab.privacy.bounds import most_area, most_true_positives
from shieldwall.lab.privacy.intervals import area_under_curve, bootstrapped, proportion, true_positives

SCORES = np.array([0.9, 0.8, 0.7, 0.6, 0.5, 0.4])
MEMBERS = np.array([True, True, False, True, False, False])


def test_the_area_is_how_often_a_member_scores_above_a_stranger():
    assert area_under_curve(SCORES, MEMBERS) == pytest.approx(8 / 9)
    assert area_under_curve(-SCORES, MEMBERS) == pytest.approx(1 / 9)
    assert area_under_curve(np.zeros(6), MEMBERS) == 0.5, "ties are half right"


@pytest.mark.parametrize(("allowed", "caught"), [(0.0, 2 / 3), (1 / 3, 1.0), (1.0, 1.0)])
def test_true_positives_are_members_above_all_strangers_but_those_allowed(allowed, caught):
    assert true_positives(SCORES, MEMBERS, allowed) == pytest.approx(caught)


@pytest.mark.parametrize(
    ("hits", "of", "low", "high"), [(0, 10, 0.0, 0.3085), (5, 10, 0.1871, 0.8129), (10, 10, 0.6915, 1.0)]
)
def test_a_share_has_the_interval_of_clopper_and_pearson(hits, of, low, high):
    share = proportion(hits, of)
    assert (share.value, share.low, share.high) == pytest.approx((hits / of, low, high), abs=1e-4)


def test_a_bootstrapped_interval_is_that_of_the_mean():
    values = np.random.default_rng(1).normal(3.0, 2.0, 400)
    found = bootstrapped(list(values), lambda drawn: float(np.mean(drawn)), np.random.default_rng(2))
    assert found.value == pytest.approx(values.mean())
    assert found.high - found.low == pytest.approx(2 * 1.96 * 2.0 / 20, rel=0.1)


def test_groups_are_drawn_whole():
    found = bootstrapped(
        [[0.0] * 9, [1.0]], lambda drawn: float(np.mean(np.concatenate(drawn))), np.random.default_rng(0)
    )
    assert (found.value, found.low, found.high) == (0.1, 0.0, 1.0)


def test_what_any_attack_can_reach_by_hand():
    assert most_area(0.0, 0.0) == 0.5
    assert most_area(math.log(3), 0.0) == pytest.approx(0.75), "the corner is at (1/4, 3/4)"
    assert most_area(1000.0, 0.0) == pytest.approx(1.0)
    assert most_true_positives(0.01, 0.0, 0.0) == pytest.approx(0.01)
    assert most_true_positives(0.01, math.log(3), 1e-3) == pytest.approx(0.031)
    assert most_true_positives(0.5, math.log(3), 0.0) == pytest.approx(1 - 0.5 / 3)
    assert most_true_positives(0.01, math.inf, 0.0) == 1.0


@pytest.mark.parametrize("epsilon", [0.1, 1.0, 4.0])
def test_the_area_allowed_is_that_under_the_true_positives_allowed(epsilon):
    rates = np.linspace(0.0, 1.0, 20_001)
    under = np.trapezoid([most_true_positives(rate, epsilon, 1e-3) for rate in rates], rates)
    assert most_area(epsilon, 1e-3) == pytest.approx(under, abs=1e-4)
