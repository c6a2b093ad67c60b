import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays, scalar_dtypes

from shieldwall.contract.records import Fate
from shieldwall.runtime.admission import Refusal, Update, check_update
from shieldwall.runtime.model import Model

BOUND = 10.0
BASE = Model.of({"w": np.zeros((2, 2), np.float32), "steps": np.array(3, np.int64), "b": np.zeros(2, np.float32)})


def reply(**changes):
    return {**{name: array.copy() for name, array in BASE.arrays.items()}, **changes}


def test_an_honest_reply_is_admitted_with_its_update():
    update = check_update(reply(w=np.full((2, 2), 2, np.float32), steps=np.array(8)), BASE, BOUND)
    assert isinstance(update, Update)
    assert update.vector.tolist() == [2, 2, 2, 2, 0, 0]
    assert update.norm == 4.0
    assert update.counters == {"steps": 8}


def test_an_unchanged_model_is_an_update_of_norm_zero():
    assert check_update(reply(), BASE, BOUND).norm == 0.0


def without(name):
    return {key: value for key, value in reply().items() if key != name}


WRONG = {
    "shape": (reply(w=np.zeros(4, np.float32)), Fate.WRONG_SCHEMA, "shape (4,)"),
    "more dimensions": (reply(w=np.zeros((1, 2, 2), np.float32)), Fate.WRONG_SCHEMA, "shape"),
    "counter's shape": (reply(steps=np.zeros(1, np.int64)), Fate.WRONG_SCHEMA, "shape"),
    "dtype": (reply(w=np.zeros((2, 2))), Fate.WRONG_SCHEMA, "dtype"),
    "byte order": (reply(w=np.zeros((2, 2), ">f4")), Fate.WRONG_SCHEMA, "dtype"),
    "counter's dtype": (reply(steps=np.array(3.0)), Fate.WRONG_SCHEMA, "dtype"),
    "objects": (reply(w=np.array([[None, "x"], [{}, []]], dtype=object)), Fate.WRONG_SCHEMA, "dtype"),
    "masked": (reply(w=np.ma.masked_all((2, 2), np.float32)), Fate.WRONG_SCHEMA, "not an array"),
    "no array": (reply(w=[[0, 0], [0, 0]]), Fate.WRONG_SCHEMA, "not an array"),
    "missing": (without("b"), Fate.WRONG_SCHEMA, "'b' is missing (1 of 3 are)"),
    "surplus": (reply(extra=np.zeros(1)), Fate.WRONG_SCHEMA, "'extra' is not one of the model's"),
    "order": (dict(reversed(reply().items())), Fate.WRONG_SCHEMA, "another order"),
    "empty": ({}, Fate.WRONG_SCHEMA, "missing (3 of 3 are)"),
    "NaN": (reply(b=np.array([0, np.nan], np.float32)), Fate.NOT_FINITE, "'b'"),
    "infinity": (reply(b=np.array([-np.inf, 0], np.float32)), Fate.NOT_FINITE, "'b'"),
    "norm": (reply(b=np.array([10.1, 0], np.float32)), Fate.NORM_TOO_LARGE, "10.1"),
    "largest float": (reply(w=np.full((2, 2), np.finfo(np.float32).max)), Fate.NORM_TOO_LARGE, "6.806e+38"),
}


@pytest.mark.parametrize("kind", WRONG)
def test_a_bad_reply_is_refused_with_its_reason(kind):
    arrays_, fate, words = WRONG[kind]
    refusal = check_update(arrays_, BASE, BOUND)
    assert isinstance(refusal, Refusal)
    assert refusal.fate is fate
    assert words in refusal.detail


def test_an_update_as_long_as_the_bound_is_admitted():
    assert check_update(reply(b=np.array([6, 8], np.float32)), BASE, BOUND).norm == 10.0


def test_an_overflow_in_the_difference_is_too_large_for_any_bound():
    largest = np.finfo(np.float32).max
    base = Model.of({"w": np.full(3, -largest, np.float32)})
    refusal = check_update({"w": np.full(3, largest, np.float32)}, base, math.inf)
    assert refusal.fate is Fate.NORM_TOO_LARGE


def test_a_clients_own_words_are_shortened_and_cannot_steer_a_terminal():
    detail = check_update(reply(**{"\x1b[2J" + "x" * 10_000: np.zeros(1)}), BASE, BOUND).detail
    assert len(detail) < 200
    assert "\x1b" not in detail


ANYTHING = st.one_of(
    st.none(),
    st.integers(),
    st.text(),
    st.binary(),
    arrays(scalar_dtypes(), array_shapes(min_dims=0, max_dims=3, min_side=0)),
)
LIKELY = arrays(np.float32, (2, 2), elements=st.floats(width=32))


@given(st.dictionaries(st.sampled_from(["w", "steps", "b"]) | st.text(), ANYTHING | LIKELY))
def test_no_content_makes_the_check_fail(content):
    judged(content)


@given(LIKELY, arrays(np.int64, ()), arrays(np.float32, (2,), elements=st.floats(width=32)))
def test_no_values_make_the_check_fail(w, steps, b):
    judged({"w": w, "steps": steps, "b": b})


def judged(content):
    verdict = check_update(content, BASE, BOUND)
    if isinstance(verdict, Refusal):
        assert verdict.fate in {Fate.WRONG_SCHEMA, Fate.NOT_FINITE, Fate.NORM_TOO_LARGE}
        assert 0 < len(verdict.detail) < 300
    else:
        assert np.isfinite(verdict.vector).all()
        assert np.linalg.norm(verdict.vector.astype(np.float64)) <= 10.0 * (1 + 1e-12)
