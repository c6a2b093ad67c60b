"""Bulyan, the geometric median, centred clipping, mixing and bucketing, on paper."""

import math

import numpy as np
import pytest

from shieldwall.contract.policy import AggregationPolicy, PreAggregation, Rule
from shieldwall.runtime.aggregation import Updates, aggregate
from shieldwall.runtime.aggregation.bulyan import bulyan_choice
from shieldwall.runtime.aggregation.centered_clipping import centered_clipping_weights
from shieldwall.runtime.aggregation.coordinatewise import Rows, mean_around_median
from shieldwall.runtime.aggregation.geometric_median import geometric_median_weights
from shieldwall.runtime.aggregation.geometry import geometry_of
from shieldwall.runtime.aggregation.mixing import bucketing, nearest_neighbor_mixing


def column(*values, dtype=np.float64):
    return [np.array([value], dtype) for value in values]


def distances(*values):
    return geometry_of(column(*values)).squared_distances


def policy(rule, f=0, **fields):
    return AggregationPolicy(rule=rule, byzantine=f, **fields)


def test_bulyan_chooses_by_krum_again_and_again():
    # n = 7, f = 1: five of 0, 1, 2, 3, 4, 60, 100. First four neighbours count, then one less each time. Scores of the
    # first round: 0: 1+4+9+16; 1: 1+1+4+9 = 15; 2: 1+1+4+4 = 10; 3: 15 ... so 2 goes first; of the rest with three
    # neighbours 1 has 1+4+9 = 14 and 3 as well, and the earlier goes; then 0, 3, 4 with two neighbours: 0 has 9+16, 3
    # has 1+9, 4 has 1+16; then of 0, 4, 60, 100 with one: 16, 16; then of 4, 60, 100 with one at least, and 60 is
    # nearer to 100 than 4 to 60: no more than f liars are ever among the chosen.
    assert bulyan_choice(distances(0, 1, 2, 3, 4, 60, 100), 1) == (0, 1, 2, 3, 5)


def test_bulyan_averages_what_is_nearest_to_the_median_of_the_chosen():
    # θ = 5 chosen: 0, 1, 2, 3, 60; β = θ - 2f = 3 nearest to the median 2: 1, 2, 3.
    result = aggregate(Updates.of(column(0, 1, 2, 3, 4, 60, 100)), policy(Rule.BULYAN, 1))
    assert result.delta.tolist() == [2.0]
    assert result.selected == (0, 1, 2, 3, 5)


@pytest.mark.parametrize(
    ("values", "count", "mean"),
    [
        ((0, 1, 2, 10, 11), 3, 1.0),
        ((0, 9, 10, 11, 100), 3, 10.0),
        ((0, 2, 10), 1, 2.0),
        ((0, 4, 6, 100), 2, 5.0),
        ((-1, 0, 1), 2, -0.5),  # both ends are as near: the lower is taken
        ((5,), 1, 5.0),
        ((1, 2, 3, 4), 4, 2.5),
        ((0, 0, 1e300, 1e300, 1e308), 3, 1e300 / 3 * 2),
    ],
)
def test_the_mean_around_the_median(values, count, mean):
    for order in (values, values[::-1]):
        np.testing.assert_allclose(mean_around_median(Rows(column(*order)), count), [mean])


def test_bulyan_needs_its_second_step():
    # The chosen's mean would be moved by one far coordinate of a chosen liar; the mean around the median is not.
    honest = np.zeros((9, 100))
    honest[np.arange(9), np.arange(9)] = 1.0
    liars = np.zeros((2, 100))
    liars[:, 50] = 1.5
    result = aggregate(Updates.of(np.concatenate([liars, honest])), policy(Rule.BULYAN, 2))
    assert set(result.selected) & {0, 1}
    assert result.delta[50] == 0.0


def test_the_geometric_median_of_points_on_a_line_is_their_median():
    result = aggregate(Updates.of(column(0, 1, 2, 3, 1e6)), policy(Rule.GEOMETRIC_MEDIAN, 2))
    np.testing.assert_allclose(result.delta, [2.0], atol=1e-4)


def test_the_geometric_median_of_a_triangle_sees_its_sides_under_120_degrees():
    # Fermat's point of (0, 0), (1, 0), (0, 1) by symmetry on the diagonal: x = (3 - √3) / 6.
    points = [np.array(point, np.float64) for point in ((0, 0), (1, 0), (0, 1))]
    result = aggregate(Updates.of(points), policy(Rule.GEOMETRIC_MEDIAN, 1))
    np.testing.assert_allclose(result.delta, [(3 - math.sqrt(3)) / 6] * 2, atol=1e-8)


def test_weights_of_the_geometric_median_are_positive_and_one_in_all():
    weights = geometric_median_weights(geometry_of(list(np.random.default_rng(0).normal(size=(9, 40)))))
    assert (weights > 0).all()
    assert weights.sum() == pytest.approx(1)


def test_one_step_of_centred_clipping_is_the_mean_of_updates_clipped_about_the_last_release():
    vectors = [np.array(v, np.float64) for v in ((3, 4), (0, 0.5), (0, 0))]
    weights = centered_clipping_weights(geometry_of(vectors), 1.0, steps=1)
    np.testing.assert_allclose(weights @ vectors, [0.6 / 3, (0.8 + 0.5) / 3])


def test_the_next_step_of_centred_clipping_clips_about_the_first():
    # 0, 0, 9 with radius 1: v = 1/3; then -1/3, -1/3, +1 in all: v = 1/3 + 1/9; then -4/9 twice and +1: + 1/27.
    results = [centered_clipping_weights(geometry_of(column(0, 0, 9)), 1.0, steps) @ [0, 0, 9] for steps in (1, 2, 3)]
    np.testing.assert_allclose(results, [1 / 3, 1 / 3 + 1 / 9, 1 / 3 + 1 / 9 + 1 / 27])
    rows = Updates.of(column(*[0] * 6, 9, 9, 9))
    moved = aggregate(rows, policy(Rule.CENTERED_CLIPPING, 0, max_norm=1.0))
    np.testing.assert_allclose(moved.delta, [1 / 3 + 1 / 9 + 1 / 27])
    assert moved.clipped == (6, 7, 8)


def test_mixing_averages_each_update_with_those_nearest_to_it():
    # n = 4, f = 1: each of 0, 1, 2, 10 with its two nearest; 1 is as near to 0 as to 2, and all three are its own.
    mixture = nearest_neighbor_mixing(distances(0, 1, 2, 10), 1)
    np.testing.assert_allclose(mixture @ [0, 1, 2, 10], [1, 1, 1, 13 / 3])
    np.testing.assert_allclose(mixture.sum(axis=1), 1)


def test_an_update_is_its_own_neighbour_even_among_copies():
    mixture = nearest_neighbor_mixing(distances(5, 5, 5, 5), 2)
    assert (np.diagonal(mixture) == 0.5).all()


def test_the_median_after_mixing_is_the_median_of_the_mixed():
    rows = Updates.of(column(0, 1, 2, 10))
    before = PreAggregation.NEAREST_NEIGHBOR_MIXING
    assert aggregate(rows, policy(Rule.FED_MEDIAN, 1, pre_aggregation=before)).delta.tolist() == [1.0]


def test_neighbours_are_found_among_raw_updates_and_clipped_afterwards():
    # Raw, the last stands apart and is nobody's neighbour; clipped to 1 first, it would be like the others.
    vectors = [np.array(v, np.float64) for v in ((1, 0), (1, 0.1), (1, -0.1), (0, 100))]
    rows = Updates.of(vectors)
    before = PreAggregation.NEAREST_NEIGHBOR_MIXING
    mixed = aggregate(rows, policy(Rule.FED_MEDIAN, 1, pre_aggregation=before, max_norm=1.0))
    assert mixed.clipped == (1, 2, 3)
    assert mixed.delta[1] == pytest.approx(0)
    assert 0.99 < mixed.delta[0] <= 1


def test_krum_after_mixing_names_the_updates_that_went_into_its_choice():
    rows = Updates.of(column(0, 1, 2, 3, 50))
    result = aggregate(rows, policy(Rule.KRUM, 1, pre_aggregation=PreAggregation.NEAREST_NEIGHBOR_MIXING))
    assert result.selected == (0, 1, 2, 3)
    assert result.delta.tolist() == [1.5]


@pytest.mark.parametrize(("n", "size", "sizes"), [(6, 2, [2, 2, 2]), (7, 2, [2, 2, 2, 1]), (5, 3, [3, 2])])
def test_each_update_is_in_one_bucket(n, size, sizes):
    mixture = bucketing(n, size, np.random.default_rng(1))
    assert [(row > 0).sum() for row in mixture] == sizes
    assert ((mixture > 0).sum(axis=0) == 1).all()
    np.testing.assert_allclose(mixture.sum(axis=1), 1)


def test_the_seed_draws_the_buckets():
    rows = Updates.of(np.random.default_rng(0).normal(size=(12, 5)))
    rule = policy(Rule.FED_MEDIAN, 2, pre_aggregation=PreAggregation.BUCKETING)
    results = [aggregate(rows, rule, seed).delta.tobytes() for seed in (1, 1, 2, 2**255)]
    assert results[0] == results[1]
    assert len(set(results)) == 3


def test_bucketing_hands_the_rule_as_many_as_there_are_buckets():
    # 3 buckets, all of the same value but for one lie: the median of the buckets does not see it.
    rows = Updates.of(column(1, 1, 1, 1, 1, 1000))
    result = aggregate(rows, policy(Rule.FED_MEDIAN, 1, pre_aggregation=PreAggregation.BUCKETING))
    assert result.delta.tolist() == [1.0]
