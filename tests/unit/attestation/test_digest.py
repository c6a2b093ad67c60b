from __future__ import annotations

import hashlib
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shieldwall.runtime.attestation.digest import CHUNK, records_digest, tree_digest

SCALARS = st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8) | st.binary(max_size=8)
RECORDS = st.dictionaries(
    st.text(max_size=5), st.dictionaries(st.text(max_size=5), SCALARS | st.lists(SCALARS, max_size=3), max_size=3)
)


def by_the_book(data: bytes) -> bytes:
    chunks = [data[start : start + CHUNK] for start in range(0, len(data), CHUNK)]
    parts = [b"shieldwall tree v1", str(len(data)).encode(), b"".join(hashlib.sha256(c).digest() for c in chunks)]
    return hashlib.sha256(b"".join(len(part).to_bytes(8, "big") + part for part in parts)).digest()


@pytest.mark.parametrize("size", [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 3 * CHUNK + 7])
def test_the_tree_digest_is_the_one_that_is_written_down(size):
    data = np.random.default_rng(size).bytes(size)
    with ThreadPoolExecutor(2) as pool:
        assert tree_digest(data) == tree_digest(data, pool) == tree_digest(memoryview(data)) == by_the_book(data)


@pytest.mark.parametrize("position", [0, CHUNK - 1, CHUNK, 2 * CHUNK])
def test_one_bit_anywhere_changes_the_tree_digest(position):
    data = bytearray(2 * CHUNK + 1)
    before = tree_digest(data)
    data[position] ^= 1
    assert tree_digest(data) != before


def test_swapped_chunks_change_the_tree_digest():
    assert tree_digest(b"a" * CHUNK + b"b" * CHUNK) != tree_digest(b"b" * CHUNK + b"a" * CHUNK)


@pytest.mark.parametrize(
    "array", [np.arange(12.0).reshape(3, 4), np.zeros((0, 3)), np.float32(3), np.arange(3, dtype=np.int8)]
)
def test_arrays_are_taken_by_their_bytes(array):
    array = np.asarray(array)
    assert tree_digest(memoryview(array)) == tree_digest(array.tobytes())


def bits(value):
    """The value with its type and, for floats, its bits."""
    if isinstance(value, list):
        return ("list", tuple(bits(each) for each in value))
    return (type(value).__name__, value.hex() if isinstance(value, float) else value)


@given(RECORDS, RECORDS)
def test_records_have_one_digest_each(one, other):
    def same(records):
        return {name: {key: bits(value) for key, value in record.items()} for name, record in records.items()}

    assert (records_digest(one) == records_digest(other)) == (same(one) == same(other))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"r": {"k": 1}}, {"r": {"k": True}}),
        ({"r": {"k": 1}}, {"r": {"k": 1.0}}),
        ({"r": {"k": 0.0}}, {"r": {"k": -0.0}}),
        ({"r": {"k": "1"}}, {"r": {"k": b"1"}}),
        ({"r": {"k": [1]}}, {"r": {"k": 1}}),
        ({"r": {"k": [1, 2]}}, {"r": {"k": [12]}}),
        ({"r": {"k": []}}, {"r": {}}),
        ({"r": {}}, {}),
        ({"r": {"a": 1}, "s": {"b": 1}}, {"r": {"a": 1, "b": 1}, "s": {}}),
        ({"ab": {"c": 1}}, {"a": {"bc": 1}}),
    ],
)
def test_records_that_look_alike_differ(one, other):
    assert records_digest(one) != records_digest(other)


def test_the_order_in_which_records_came_does_not_count():
    assert records_digest({"a": {"x": 1, "y": 2}, "b": {}}) == records_digest({"b": {}, "a": {"y": 2, "x": 1}})


def test_not_a_number_is_a_value_like_others():
    nan = float("nan")
    assert records_digest({"r": {"k": nan}}) == records_digest({"r": {"k": nan}}) != records_digest({"r": {"k": 0.0}})


@pytest.mark.parametrize("value", [None, [None], {"a": 1}, [[1]], object()])
def test_values_of_other_types_are_refused(value):
    with pytest.raises(TypeError):
        records_digest({"r": {"k": value}})
