"""Cases small enough to compute on paper from the definitions of the papers."""

import numpy as np
import pytest

from shieldwall.contract.policy import AggregationPolicy, Rule
from shieldwall.contract.theorem import trim
from shieldwall.runtime.aggregation import TooFewUpdatesError, Updates, aggregate
from shieldwall.runtime.aggregation.geometry import geometry_of
from shieldwall.runtime.aggregation.krum import krum_choice, krum_scores


def updates(*rows, num_examples=None):
    return Updates.of([np.array(row, np.float32) for row in rows], num_examples)


def policy(rule, f=0, **fields):
    return AggregationPolicy(rule=rule, byzantine=f, **fields)


def test_fed_avg_weighs_by_the_claimed_examples():
    result = aggregate(updates([1, 0], [5, 8], num_examples=[3, 1]), policy(Rule.FED_AVG))
    assert result.delta.tolist() == [2.0, 2.0]
    assert result.selected is None
    assert result.clipped == ()


@pytest.mark.parametrize("rule", [rule for rule in Rule if rule is not Rule.FED_AVG])
def test_no_other_rule_reads_the_claimed_examples(rule):
    rows = np.random.default_rng(0).normal(size=(7, 5)).astype(np.float32)
    rules = policy(rule, 0 if rule in {Rule.CLIPPED_MEAN, Rule.CENTERED_CLIPPING} else 1, max_norm=1.0)
    honest, inflated = (aggregate(Updates.of(rows, claims), rules) for claims in ([1] * 7, [10**9, 0, 1, 2, 3, 4, 5]))
    assert honest.delta.tolist() == inflated.delta.tolist()


def test_clipped_mean_scales_long_updates_down_to_the_norm():
    result = aggregate(updates([3, 4], [0, 0.5]), policy(Rule.CLIPPED_MEAN, max_norm=1.0))
    np.testing.assert_allclose(result.delta, [0.3, 0.65], rtol=1e-6)
    assert result.clipped == (0,)


def test_liars_move_the_clipped_mean_by_two_f_norms_over_n_and_a_half_of_liars_is_refused():
    honest = aggregate(updates([1, 0], [1, 0], [1, 0]), policy(Rule.CLIPPED_MEAN, 1, max_norm=1.0)).delta
    moved = aggregate(updates([1, 0], [1, 0], [-1000, 0]), policy(Rule.CLIPPED_MEAN, 1, max_norm=1.0)).delta
    np.testing.assert_allclose(honest - moved, [2 / 3, 0], rtol=1e-6)
    # With f = 2 of 4 the bound is 2·2·1/4 = 1: all that the clip leaves.
    with pytest.raises(TooFewUpdatesError, match="ClippedMean with f = 2 needs 5 updates and has 4"):
        aggregate(updates([1, 0], [1, 0], [-9, 0], [-9, 0]), policy(Rule.CLIPPED_MEAN, 2, max_norm=1.0))


def test_fed_median_takes_the_middle_or_between_the_middle_two():
    assert aggregate(updates([1], [100], [2]), policy(Rule.FED_MEDIAN, 1)).delta.tolist() == [2]
    assert aggregate(updates([1], [100], [2], [4]), policy(Rule.FED_MEDIAN, 1)).delta.tolist() == [3]


def test_fed_trimmed_avg_drops_f_values_at_each_end_of_each_coordinate():
    rows = updates([0, 9], [1, 1], [2, 2], [3, 3], [1000, -50])
    assert aggregate(rows, policy(Rule.FED_TRIMMED_AVG, 1)).delta.tolist() == [2.0, 2.0]


def test_fed_trimmed_avg_cuts_the_larger_of_f_and_beta():
    rows = updates([0], [1], [5], [6], [100])
    assert aggregate(rows, policy(Rule.FED_TRIMMED_AVG, 0, beta=0.2)).delta.tolist() == [4.0]
    assert aggregate(rows, policy(Rule.FED_TRIMMED_AVG, 1, beta=0.4)).delta.tolist() == [5.0]
    assert aggregate(rows, policy(Rule.FED_TRIMMED_AVG, 2, beta=0.2)).delta.tolist() == [5.0]


@pytest.mark.parametrize(
    ("n", "f", "beta", "cut"),
    [(10, 2, 0.1, 2), (10, 0, 0.1, 1), (100, 0, 0.29, 29), (10, 0, None, 0), (9, 0, 0.499, 4)],
)
def test_the_cut_follows_the_decimal_number_in_the_policy(n, f, beta, cut):
    assert trim(n, f, beta) == cut


def test_krum_sums_the_squared_distances_to_n_minus_f_minus_2_neighbours():
    # n = 5, f = 1: two neighbours each. On a line at 0, 1, 3, 4, 50.
    rows = updates([0], [1], [3], [4], [50])
    scores = krum_scores(geometry_of(rows.vectors).squared_distances, 2)
    assert scores.tolist() == [1 + 9, 1 + 4, 1 + 4, 1 + 9, 46**2 + 47**2]


def test_krum_returns_one_update_and_the_earlier_of_two_equal_scores():
    result = aggregate(updates([0], [1], [3], [4], [50]), policy(Rule.KRUM, 1))
    assert result.delta.tolist() == [1.0]
    assert result.selected == (1,)


def test_multi_krum_averages_the_m_best():
    rows = updates([0], [1], [3], [4], [50])
    default = aggregate(rows, policy(Rule.MULTI_KRUM, 1))
    assert default.selected == (0, 1, 2, 3)
    assert default.delta.tolist() == [2.0]
    pair = aggregate(rows, policy(Rule.MULTI_KRUM, 1, select=2))
    assert pair.selected == (1, 2)
    assert pair.delta.tolist() == [2.0]


def test_selection_rules_select_among_raw_updates_and_clip_afterwards():
    # Two liars push a hundred times too hard in the honest direction: far away as sent, in the middle once clipped.
    honest = np.hstack([np.full((5, 1), 5), np.diag([1, 1, 0.9, 1, 1])])
    rows = updates(*honest, [500, 0, 0, 0, 0, 0], [500, 0, 0, 0, 0, 0])
    result = aggregate(rows, policy(Rule.KRUM, 2, max_norm=1.0))
    assert result.selected == (2,)
    assert result.clipped == (2,)
    np.testing.assert_allclose(np.linalg.norm(result.delta), 1.0, rtol=1e-6)
    assert aggregate(rows, policy(Rule.MULTI_KRUM, 2, max_norm=1.0)).selected == (0, 1, 2, 3, 4)
    clipped_first = Updates.of([row / np.linalg.norm(row) for row in rows.vectors])
    assert krum_choice(geometry_of(clipped_first.vectors).squared_distances, 2, 1) == (5,)


def test_coordinate_rules_clip_before_they_average():
    rows = updates([0.3, 0.4], [0.3, 0.4], [3, 4], [6, 8], [60, 80])
    for rule in (Rule.FED_MEDIAN, Rule.FED_TRIMMED_AVG):
        result = aggregate(rows, policy(rule, 2, max_norm=1.0))
        np.testing.assert_allclose(result.delta, [0.6, 0.8], rtol=1e-6)
        assert result.clipped == (2, 3, 4)


def test_the_clipped_length_is_the_bound_even_for_the_largest_finite_update():
    largest = float(np.finfo(np.float32).max)
    result = aggregate(updates([largest] * 9, [0] * 9), policy(Rule.CLIPPED_MEAN, max_norm=3.0))
    np.testing.assert_allclose(result.delta, [0.5] * 9, rtol=1e-6)


def test_rules_keep_the_dtype_of_the_updates():
    for dtype in (np.float32, np.float64):
        rows = Updates.of(np.ones((7, 3), dtype))
        for rule in Rule:
            delta = aggregate(rows, policy(rule, max_norm=9.0)).delta
            assert delta.dtype == dtype
            np.testing.assert_allclose(delta, 1.0)
