"""The passes over the updates: the same bytes on any number of threads, little memory, and distances that hold."""

import itertools
import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shieldwall.contract.policy import AggregationPolicy, PreAggregation, Rule
from shieldwall.runtime.aggregation import Updates, aggregate, coordinatewise
from shieldwall.runtime.aggregation.coordinatewise import NETWORK_ROWS, Rows, trimmed_mean
from shieldwall.runtime.aggregation.geometry import Geometry, geometry_of
from shieldwall.runtime.aggregation.gram import inner_products
from shieldwall.runtime.aggregation.network import network
from shieldwall.runtime.aggregation.passes import SEGMENTS, WIDEST, in_segments
from shieldwall.runtime.aggregation.vectors import combine

N, F = 23, 2
POLICIES = [
    AggregationPolicy(rule=rule, byzantine=0 if rule is Rule.FED_AVG else F, max_norm=max_norm, pre_aggregation=before)
    for rule in Rule
    for before in (None, *PreAggregation)
    for max_norm in (None, 150.0)
    if (rule not in {Rule.CLIPPED_MEAN, Rule.CENTERED_CLIPPING} or max_norm is not None)
    and not (before is not None and rule in {Rule.FED_AVG, Rule.CENTERED_CLIPPING})
]
NAMES = [f"{p.rule}-{p.pre_aggregation}-{p.max_norm}" for p in POLICIES]


def cohort(n, d, seed=0):
    rng = np.random.default_rng(seed)
    return list((rng.normal(size=(n, d)) + rng.normal(size=d)).astype(np.float32))


@pytest.fixture(scope="module")
def many():
    return Updates.of(cohort(N, 500_000))


@pytest.fixture(scope="module")
def some():
    return Updates.of(cohort(N, 3 * WIDEST + 11))


@pytest.mark.parametrize("policy", POLICIES, ids=NAMES)
def test_threads_do_not_change_a_bit(some, policy):
    one, *more = (aggregate(some, policy, 5, threads) for threads in (1, 2, 5))
    assert all(other.delta.tobytes() == one.delta.tobytes() for other in more)
    assert all((other.selected, other.clipped) == (one.selected, one.clipped) for other in more)


@pytest.mark.parametrize("policy", POLICIES, ids=NAMES)
def test_a_rule_holds_a_little_besides_the_updates_and_its_result(many, policy):
    aggregate(Updates.of(cohort(N, 100)), policy)  # what is made once
    tracemalloc.start()
    try:
        result = aggregate(many, policy, threads=2)
        most = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert most - result.delta.nbytes < 32 * 2**20  # a copy of the updates would be 46 MB


@pytest.mark.parametrize("n", range(1, 11))
def test_the_network_sorts_all_zeros_and_ones_and_so_everything(n):
    rows = np.array(list(itertools.product([0.0, 1.0], repeat=n))).T.copy()
    expected = np.sort(rows, axis=0)
    for first in range(n):
        for last in range(first + 1, n + 1):
            plan = network(n, first, last)
            found = plan.run(list(rows), list(np.empty((plan.scratch, rows.shape[1]))))
            np.testing.assert_array_equal(found, expected[first:last])
    assert plan.scratch <= n + 1


@pytest.mark.parametrize("n", [11, 16, 33, 64])
def test_the_network_sorts_any_number_of_rows(n):
    rows = np.random.default_rng(n).normal(size=(n, 500))
    before = rows.copy()
    plan = network(n, 2, n - 3)
    found = plan.run(list(rows), list(np.empty((plan.scratch, 500))))
    np.testing.assert_array_equal(found, np.sort(rows, axis=0)[2 : n - 3])
    np.testing.assert_array_equal(rows, before)


def test_places_that_nobody_wants_cost_no_step():
    assert len(network(10, 4, 6).steps) < len(network(10, 0, 10).steps)
    (step,) = network(2, 0, 1).steps
    assert (step.low, step.high) == (2, None)


@pytest.mark.parametrize("n", [NETWORK_ROWS - 1, NETWORK_ROWS, NETWORK_ROWS + 1])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_sorting_and_the_network_give_the_same(monkeypatch, n, dtype):
    rows = Rows([vector.astype(dtype) for vector in cohort(n, WIDEST + 5)])
    results = []
    for limit in (0, 1000):
        monkeypatch.setattr(coordinatewise, "NETWORK_ROWS", limit)
        results.append(trimmed_mean(rows, 3))
    np.testing.assert_allclose(*results, atol=1e-12 if dtype is np.float64 else 1e-6)


@given(size=st.integers(1, 10 * WIDEST), threads=st.integers(1, 4))
def test_segments_cover_the_vector_once_and_in_order(size, threads):
    parts = in_segments(size, threads, lambda part: part)
    assert len(parts) <= SEGMENTS
    assert [place for part in parts for place in (part.start, part.stop)][1:-1] == [
        place for part in itertools.pairwise(parts) for place in (part[0].stop, part[1].start)
    ]
    assert (parts[0].start, parts[-1].stop) == (0, size)
    assert all(earlier.stop == later.start for earlier, later in itertools.pairwise(parts))


def plain_distances(rows):
    wide = np.array(rows, np.float64)
    return ((wide[:, None] - wide[None]) ** 2).sum(axis=2)


@pytest.mark.parametrize("shift", [0.0, 1.0, 1e3, 1e6])
@pytest.mark.parametrize("size", [1e-20, 1e-4, 1.0, 1e25])
def test_distances_hold_however_close_the_updates_are(shift, size):
    rng = np.random.default_rng(3)
    rows = [((rng.normal(size=3000) + shift) * size).astype(np.float32) for _ in range(12)]
    found = geometry_of(rows).squared_distances
    np.testing.assert_allclose(found, plain_distances(rows), rtol=1e-3, atol=1e-300)
    assert (found == found.T).all()


def test_a_minority_cannot_hide_how_close_the_others_are():
    rng = np.random.default_rng(4)
    honest = [(rng.normal(size=3000) + 100).astype(np.float32) for _ in range(7)]
    liars = [np.full(3000, 1e15, np.float32)] * 4
    found = geometry_of([*liars, *honest]).squared_distances[4:, 4:]
    np.testing.assert_allclose(found, plain_distances(honest), rtol=1e-3)


def test_equal_updates_are_at_distance_zero():
    row = np.random.default_rng(5).normal(size=5000).astype(np.float32)
    assert not geometry_of([row] * 5).squared_distances.any()


@given(st.integers(0, 2**32), st.floats(0.1, 10))
def test_the_geometry_of_scaled_and_mixed_updates_is_that_of_what_they_make(seed, spread):
    rng = np.random.default_rng(seed)
    rows = rng.normal(size=(6, 30)) * spread + rng.normal(size=30)
    scales = rng.uniform(0.1, 1, size=6)
    mixture = rng.dirichlet(np.ones(6), size=4)
    found = geometry_of(list(rows)).scaled(scales).mixed(mixture)
    made = mixture @ (rows * scales[:, None])
    np.testing.assert_allclose(found.squared_distances, plain_distances(made), rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(found.squared_norms, (made**2).sum(axis=1), rtol=1e-6)


def test_scaling_by_one_changes_nothing():
    geometry = Geometry(np.ones(2), np.zeros((2, 2)))
    assert geometry.scaled(np.ones(2)) is geometry


@pytest.mark.parametrize("weights", [[0.25] * 4, [0.1, 0.2, 0.3, 0.4], [0.5, 0.0, 0.5, 0.0], [0, 0, 0, 0]])
def test_a_weighted_sum_is_what_it_says(weights):
    rows = cohort(4, 2 * WIDEST + 3)
    np.testing.assert_allclose(
        combine(rows, np.array(weights, float), 2), np.array(weights) @ np.array(rows, float), atol=1e-6
    )


@pytest.mark.parametrize("n", [2, 31, 32, 33, 200])
def test_a_weighted_sum_of_many_is_as_exact_as_its_dtype(n):
    rows, weights = cohort(n, 2 * WIDEST + 3), np.random.default_rng(n).uniform(0.1, 1.0, n)
    exact = weights @ np.array(rows, float)
    scale = weights @ np.abs(np.array(rows, float))
    assert np.all(np.abs(combine(rows, weights, 2) - exact) <= 40 * np.finfo(np.float32).eps * scale)


def test_a_mean_may_be_within_the_dtype_where_its_sum_is_not():
    largest = np.finfo(np.float32).max
    rows = [np.full(5, largest, np.float32)] * 9
    assert combine(rows, np.full(9, 1 / 9)).tolist() == pytest.approx([largest] * 5)
    assert combine(rows, np.linspace(0, 2 / 9, 9)).tolist() == pytest.approx([largest] * 5)


def test_a_weight_that_the_dtype_holds_only_in_part_is_not_rounded_to_it():
    """A huge update that is clipped: one in 10⁴⁰ of float32's largest numbers."""
    rows = [np.full(5, 3e38, np.float32), np.ones(5, np.float32)]
    made = combine(rows, np.array([1.2345678e-40, 1e-3]))
    np.testing.assert_allclose(made, [3e38 * 1.2345678e-40 + 1e-3] * 5, rtol=1e-6)


def test_rows_of_weight_zero_are_not_read():
    rows = [np.ones(3), np.full(3, np.nan)]
    assert combine(rows, np.array([1.0, 0.0])).tolist() == [1, 1, 1]


@pytest.mark.parametrize("policy", POLICIES, ids=NAMES)
def test_inner_products_that_are_known_are_not_made_again(some, policy, monkeypatch):
    made = aggregate(some, policy, 5)
    gram = inner_products(some.vectors)
    monkeypatch.setattr("shieldwall.runtime.aggregation.geometry.inner_products", None)
    known = aggregate(some, policy, 5, gram=gram)
    assert (known.selected, known.clipped) == (made.selected, made.clipped)
    np.testing.assert_allclose(known.delta, made.delta, rtol=1e-4, atol=1e-5)


def test_inner_products_that_do_not_tell_updates_apart_are_made_anew():
    rng = np.random.default_rng(2)
    base = rng.normal(size=2000) * 1e6
    rows = [base + row for row in rng.normal(size=(7, 2000)) * 1e-4]
    found = geometry_of(rows, gram=inner_products(rows)).squared_distances
    expected = [[((a - b) ** 2).sum() for b in rows] for a in rows]
    np.testing.assert_allclose(found, expected, rtol=1e-6)
