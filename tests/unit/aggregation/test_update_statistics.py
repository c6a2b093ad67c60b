import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from shieldwall.runtime.aggregation import Updates, aggregate_counters, update_statistics
from shieldwall.runtime.aggregation.vectors import BLOCK, norm

ANY32 = st.floats(width=32, allow_nan=False, allow_infinity=False)
ANY64 = st.floats(allow_nan=False, allow_infinity=False)


def statistics(rows, delta):
    return update_statistics(Updates.of(rows), delta)


def test_norm_cosine_and_distance_of_a_triangle():
    along, across, against = statistics(
        [np.array(v, np.float32) for v in ([3, 0], [0, 4], [-3, 0])], np.array([3, 0], np.float32)
    )
    assert (along.norm, along.cosine, along.distance) == (3, 1, 0)
    assert (across.norm, across.cosine, across.distance) == (4, 0, 5)
    assert (against.norm, against.cosine, against.distance) == (3, -1, 6)


def test_a_zero_vector_has_no_direction():
    zero, some = np.zeros(5, np.float32), np.ones(5, np.float32)
    assert [s.cosine for s in statistics([zero, some], zero)] == [None, None]
    assert statistics([zero], some)[0].cosine is None
    assert statistics([zero], some)[0].norm == 0


def test_rounding_does_not_take_a_cosine_past_one():
    vectors = np.random.default_rng(3).normal(size=(500, 3))
    cosines = [statistics([sign * vector], vector)[0].cosine for vector in vectors for sign in (1, -1)]
    assert (min(cosines), max(cosines)) == (-1, 1)


@given(arrays(np.float32, (3, 4), elements=ANY32))
def test_any_finite_float32_has_finite_statistics(rows):
    for stats in statistics(rows[:2], rows[2]):
        assert math.isfinite(stats.norm)
        assert math.isfinite(stats.distance)
        assert stats.cosine is None or -1 <= stats.cosine <= 1


@given(arrays(np.float64, (3, 4), elements=ANY64))
def test_nothing_is_nan_and_nothing_warns_for_any_finite_float64(rows):
    for stats in statistics(rows[:2], rows[2]):
        assert not math.isnan(stats.norm)
        assert not math.isnan(stats.distance)
        assert stats.cosine is None or -1 <= stats.cosine <= 1


@pytest.mark.parametrize("size", [1e-300, 1.0, 1e300])
def test_the_norm_neither_overflows_nor_underflows(size):
    assert norm(np.array([3 * size, 4 * size])) == pytest.approx(5 * size)


def test_the_norm_is_accumulated_in_float64_over_blocks():
    ones = np.ones(20_000_000 // BLOCK * BLOCK + 5, np.float32)
    assert norm(ones) == pytest.approx(math.sqrt(ones.size), rel=1e-12)
    assert norm(ones, minus=ones) == 0


def test_counters_take_the_lower_median_and_keep_shape_and_dtype():
    replies = [
        {"steps": np.array(steps, np.int64), "mask": np.array([steps > 5, True])} for steps in (3, 4, 2**62, -(2**62))
    ]
    counters = aggregate_counters(replies)
    assert counters["steps"] == 3
    assert (counters["steps"].shape, counters["steps"].dtype) == ((), np.int64)
    assert counters["mask"].tolist() == [False, True]
    assert counters["mask"].dtype == np.bool_


@given(arrays(np.int64, (3, 2)), arrays(np.int64, (2, 2)), st.permutations(range(5)))
def test_liars_cannot_take_a_counter_out_of_the_honest_range(honest, lies, places):
    rows = np.concatenate([honest, lies])[places]
    counter = aggregate_counters([{"c": row} for row in rows])["c"]
    assert (honest.min(axis=0) <= counter).all()
    assert (counter <= honest.max(axis=0)).all()


def test_a_model_without_counters_has_none():
    assert aggregate_counters([{}, {}]) == {}
