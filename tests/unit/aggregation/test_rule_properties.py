"""What the theorems promise, for any updates and any lies."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from shieldwall.contract.policy import AggregationPolicy, PreAggregation, Rule
from shieldwall.runtime.aggregation import Updates, aggregate
from shieldwall.runtime.aggregation.coordinatewise import Rows, mean_around_median
from shieldwall.runtime.aggregation.geometry import geometry_of
from shieldwall.runtime.aggregation.krum import krum_scores

D = 6
HONEST = st.floats(-1e3, 1e3, width=32)
LIE = st.floats(width=32, allow_nan=False, allow_infinity=False) | st.sampled_from([1e30, -1e30]).map(np.float32)
COORDINATE_RULES = [Rule.FED_MEDIAN, Rule.FED_TRIMMED_AVG]
ROBUST_RULES = [*COORDINATE_RULES, Rule.KRUM, Rule.MULTI_KRUM]
N = 11
ANY_RULES = [
    (rule, before)
    for rule in [*ROBUST_RULES, Rule.BULYAN, Rule.GEOMETRIC_MEDIAN]
    for before in (None, PreAggregation.NEAREST_NEIGHBOR_MIXING)
    # Mixed updates that leave out the same one are equal, and Bulyan has to choose between equal scores.
    if (rule, before) != (Rule.BULYAN, PreAggregation.NEAREST_NEIGHBOR_MIXING)
]


def policy(rule, f=2, before=None):
    return AggregationPolicy(rule=rule, byzantine=f, pre_aggregation=before)


def scores_of(rows, f=2):
    return krum_scores(geometry_of(list(rows)).squared_distances, len(rows) - f - 2)


def crowd(n, elements):
    return arrays(np.float32, (n, D), elements=elements)


@pytest.mark.parametrize("rule", COORDINATE_RULES)
@given(honest=crowd(4, HONEST), lies=crowd(2, LIE), places=st.permutations(range(6)))
def test_no_lie_moves_a_coordinate_out_of_the_honest_range(rule, honest, lies, places):
    rows = np.concatenate([honest, lies])[places]
    delta = aggregate(Updates.of(rows), policy(rule)).delta
    assert (honest.min(axis=0) <= delta).all()
    assert (delta <= honest.max(axis=0)).all()


@pytest.mark.parametrize("rule", COORDINATE_RULES)
def test_one_liar_more_than_f_breaks_the_range(rule):
    rows = np.concatenate([np.zeros((2, D)), np.full((3, D), 1e30)]).astype(np.float32)
    assert (aggregate(Updates.of(rows), policy(rule)).delta > 1e29).all()


@given(
    honest=crowd(7, st.floats(-1, 1, width=32)),
    far=st.floats(128, 2.0**100, width=32),
    places=st.permutations(range(9)),
)
@pytest.mark.parametrize("rule", [Rule.KRUM, Rule.MULTI_KRUM])
def test_liars_that_stand_apart_are_never_selected(rule, honest, far, places):
    liars = np.stack([np.full(D, far), np.full(D, -far)]).astype(np.float32)
    result = aggregate(Updates.of(np.concatenate([honest, liars])[places]), policy(rule))
    assert all(places[position] < len(honest) for position in result.selected)
    assert (np.abs(result.delta) <= 1).all()


@pytest.mark.parametrize("rule", COORDINATE_RULES)
@given(rows=crowd(7, LIE), places=st.permutations(range(7)))
def test_the_order_of_the_updates_does_not_matter(rule, rows, places):
    straight, shuffled = (aggregate(Updates.of(some), policy(rule)).delta for some in (rows, rows[places]))
    assert straight.tolist() == shuffled.tolist()


@given(honest=crowd(5, HONEST), lies=crowd(2, LIE), places=st.permutations(range(7)))
def test_krum_scores_move_with_the_updates(honest, lies, places):
    rows = np.concatenate([honest, lies])
    straight, shuffled = scores_of(rows), scores_of(rows[places])
    np.testing.assert_allclose(shuffled, straight[places], rtol=2e-3, atol=1e-6 * np.median(straight))


# Not Bulyan's: two that are each other's only neighbour have equal scores, and the earlier goes first.
@pytest.mark.parametrize(("rule", "before"), [each for each in ANY_RULES if each[0] is not Rule.BULYAN])
@settings(max_examples=30)
@given(seed=st.integers(0, 2**32), places=st.permutations(range(N)))
def test_the_order_of_the_updates_does_not_matter_beyond_rounding(rule, before, seed, places):
    rows = np.random.default_rng(seed).normal(size=(N, D)).astype(np.float32)
    straight, shuffled = (aggregate(Updates.of(some), policy(rule, 1, before)) for some in (rows, rows[places]))
    np.testing.assert_allclose(shuffled.delta, straight.delta, atol=1e-5)
    if straight.selected is not None:
        assert {places[position] for position in shuffled.selected} == set(straight.selected)


@pytest.mark.parametrize(("rule", "before"), ANY_RULES)
@settings(max_examples=30)
@given(seed=st.integers(0, 2**32), shift=st.floats(-100, 100))
def test_a_shift_of_all_updates_shifts_what_any_rule_makes_of_them(rule, before, seed, shift):
    rows = np.random.default_rng(seed).normal(size=(N, D))
    still, moved = (aggregate(Updates.of(some), policy(rule, 1, before)) for some in (rows, rows + shift))
    np.testing.assert_allclose(moved.delta, still.delta + shift, atol=1e-6)
    assert moved.selected == still.selected


@pytest.mark.parametrize(("rule", "before"), ANY_RULES)
@settings(max_examples=30)
@given(seed=st.integers(0, 2**32), factor=st.floats(1e-6, 1e6))
def test_a_common_factor_of_all_updates_is_that_of_the_aggregate(rule, before, seed, factor):
    rows = np.random.default_rng(seed).normal(size=(N, D))
    plain, scaled = (aggregate(Updates.of(some), policy(rule, 1, before)) for some in (rows, rows * factor))
    np.testing.assert_allclose(scaled.delta, plain.delta * factor, atol=1e-6 * factor)


@pytest.mark.parametrize("rule", [Rule.KRUM, Rule.MULTI_KRUM, Rule.BULYAN, Rule.GEOMETRIC_MEDIAN])
@given(seed=st.integers(0, 2**32), size=st.floats(1e-3, 1e3))
def test_what_selects_or_weighs_stays_among_the_updates(rule, seed, size):
    rows = np.random.default_rng(seed).normal(size=(N, D)) * size
    delta = aggregate(Updates.of(rows), policy(rule, 1)).delta
    assert (rows.min(axis=0) - 1e-9 * size <= delta).all()
    assert (delta <= rows.max(axis=0) + 1e-9 * size).all()


@given(
    rows=arrays(np.float64, (9, D), elements=st.floats(-1e6, 1e6)),
    count=st.integers(1, 9),
)
def test_the_values_around_the_median_are_the_nearest(rows, count):
    found = mean_around_median(Rows(list(rows)), count)
    for coordinate in range(D):
        middle = np.median(rows[:, coordinate])
        by_nearness = sorted(rows[:, coordinate], key=lambda value: (abs(value - middle), value))
        np.testing.assert_allclose(found[coordinate], np.mean(by_nearness[:count]), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("rule", [Rule.FED_AVG, *ROBUST_RULES])
@given(rows=arrays(np.float64, (7, D), elements=st.integers(-1000, 1000)), shift=st.integers(-1000, 1000))
def test_a_shift_of_all_updates_shifts_the_aggregate(rule, rows, shift):
    f = 0 if rule is Rule.FED_AVG else 2
    still, moved = (aggregate(Updates.of(some), policy(rule, f)) for some in (rows, rows + shift))
    np.testing.assert_allclose(moved.delta, still.delta + shift, atol=1e-9)
    assert moved.selected == still.selected


@pytest.mark.parametrize("rule", ROBUST_RULES)
@given(row=arrays(np.float32, D, elements=LIE))
def test_clients_who_agree_are_followed(rule, row):
    delta = aggregate(Updates.of([row] * 7), policy(rule)).delta
    np.testing.assert_allclose(delta, row, rtol=1e-6)


@pytest.mark.parametrize("rule", COORDINATE_RULES)
def test_rounding_does_not_leave_the_range_of_values(rule):
    # (0.1 + 0.1 + 0.1) / 3 is more than 0.1 in float64.
    assert aggregate(Updates.of(np.full((7, 2), 0.1)), policy(rule)).delta.tolist() == [0.1, 0.1]


@given(rows=crowd(5, LIE), bound=st.floats(1e-3, 10))
def test_no_single_update_moves_the_clipped_mean_further_than_its_share(rows, bound):
    rule = AggregationPolicy(rule=Rule.CLIPPED_MEAN, max_norm=bound)
    everyone = aggregate(Updates.of(rows), rule).delta.astype(np.float64)
    silent = rows.copy()
    silent[0] = 0
    without = aggregate(Updates.of(silent), rule).delta.astype(np.float64)
    assert np.linalg.norm(everyone - without) <= bound / 5 * (1 + 1e-5)


def test_the_same_updates_give_the_same_bytes():
    rows = np.random.default_rng(5).normal(size=(9, 10_000)).astype(np.float32)
    for rule in ROBUST_RULES:
        first, second = (aggregate(Updates.of(rows), policy(rule)).delta.tobytes() for _ in range(2))
        assert first == second


def test_aggregating_does_not_alter_the_updates():
    rows = np.random.default_rng(6).normal(size=(9, 10_000)).astype(np.float32)
    before = rows.copy()
    for rule in ROBUST_RULES:
        aggregate(Updates.of(rows), AggregationPolicy(rule=rule, byzantine=2, max_norm=0.5))
    assert (rows == before).all()
