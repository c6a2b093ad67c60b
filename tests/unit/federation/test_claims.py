"""Metrics as strategies see them."""

import math

import pytest
from flwr.app import MetricRecord, RecordDict
from hypothesis import given
from hypothesis import strategies as st

from shieldwall.runtime.federation.claims import bound_claims

FINITE = st.floats(allow_nan=False, allow_infinity=False)


def contents(values):
    return [RecordDict({"metrics": MetricRecord({"x": value})}) for value in values]


def bounded(values, f):
    found = contents(values)
    bound_claims(found, f)
    return [content["metrics"]["x"] for content in found]


@given(st.lists(FINITE, min_size=5, max_size=5), st.lists(FINITE, min_size=2, max_size=2), st.permutations(range(7)))
def test_no_claim_leaves_the_honest_range(honest, lies, places):
    values = [*honest, *lies]
    found = bounded([values[place] for place in places], 2)
    assert min(honest) <= min(found)
    assert max(found) <= max(honest)


def test_claims_within_the_range_stay_as_they_are():
    assert bounded([0.1, 0.2, 0.3, 0.4, 9.0], 1) == [0.2, 0.2, 0.3, 0.4, 0.4]


def test_one_liar_more_than_f_leaves_the_range():
    assert max(bounded([1.0, 1.0, 1.0, 9.0, 9.0], 1)) == 9.0


def test_whole_numbers_stay_whole():
    found = bounded([3, 4, 5, 6, 10**12], 1)
    assert found == [4, 4, 5, 6, 6]
    assert all(type(value) is int for value in found)


def test_lists_are_bounded_place_by_place():
    assert bounded([[1.0, 5.0], [2.0, 4.0], [3.0, -99.0]], 1) == [[2.0, 4.0], [2.0, 4.0], [2.0, 4.0]]


@pytest.mark.parametrize("values", [[], [1.0], [1.0, 7.0]])
def test_where_nothing_can_be_compared_nothing_is_changed(values):
    assert bounded(values, 2) == values


@pytest.mark.parametrize("n", [3, 4, 5])
def test_with_too_few_replies_each_number_is_a_median(n):
    values = [float(place) for place in range(n)]
    found = bounded(values, 4)
    assert math.floor((n - 1) / 2) <= min(found)
    assert max(found) <= math.ceil((n - 1) / 2)


def test_without_liars_every_claim_counts():
    assert bounded([1.0, 2.0, 900.0], 0) == [1.0, 2.0, 900.0]


def test_empty_lists_are_no_trouble():
    assert bounded([[], [], []], 1) == [[], [], []]
