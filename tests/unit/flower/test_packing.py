from contextlib import suppress

import numpy as np
import pytest
from flwr.app import Array, ArrayRecord
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from shieldwall.runtime.flower.messages import decode_packed
from shieldwall.runtime.flower.packing import PACKED_NAME, PACKED_STYPE, MalformedArraysError, pack, parts, unpack

ARRAYS = st.dictionaries(
    st.text(min_size=1, max_size=20),
    npst.arrays(np.float32, npst.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4)),
    max_size=5,
)


def record(arrays):
    return ArrayRecord(array_dict={name: Array(array) for name, array in arrays.items()})


def packed(data):
    return ArrayRecord(array_dict={PACKED_NAME: Array("uint8", (len(data),), PACKED_STYPE, data)})


@given(ARRAYS)
def test_arrays_come_out_as_they_went_in_and_in_their_order(arrays):
    sent = record(arrays)
    assert dict(unpack(pack(sent))) == dict(sent)
    decoded = decode_packed(pack(sent))
    assert list(decoded) == list(arrays)
    for name, array in arrays.items():
        np.testing.assert_array_equal(decoded[name], array)


def test_a_pack_of_many_arrays_is_three_objects_on_the_wire():
    many = record({str(position): np.zeros(2, np.float32) for position in range(100)})
    assert len(pack(many)) == 1


@given(st.binary(max_size=200))
def test_bytes_that_are_no_pack_are_refused_and_never_raise_anything_else(data):
    with suppress(MalformedArraysError):
        unpack(packed(data))


@given(ARRAYS.filter(len), st.data())
def test_a_pack_cut_short_is_refused(arrays, data):
    whole = pack(record(arrays))[PACKED_NAME].data
    ends = {len(pack(record(dict(list(arrays.items())[:count])))[PACKED_NAME].data) for count in range(len(arrays))}
    cut = data.draw(st.integers(0, len(whole) - 1).filter(lambda size: size not in ends))
    with pytest.raises(MalformedArraysError):
        list(parts(packed(whole[:cut])))


def test_a_name_that_stands_twice_is_refused():
    once = pack(record({"w": np.zeros(2, np.float32)}))[PACKED_NAME].data
    with pytest.raises(MalformedArraysError):
        list(parts(packed(once + once)))


@pytest.mark.parametrize("size", [2**63, 2**64 - 1])
def test_an_enormous_length_is_refused_without_memory(size):
    with pytest.raises(MalformedArraysError):
        list(parts(packed(size.to_bytes(8, "big") + b"x")))


@pytest.mark.parametrize("shape", ["-1", "1,,2", "x", "1.0", "٣"])
def test_a_shape_that_is_none_is_refused(shape):
    fields = (b"w", b"float32", shape.encode(), b"numpy.ndarray", b"")
    with pytest.raises(MalformedArraysError):
        list(parts(packed(b"".join(len(field).to_bytes(8, "big") + field for field in fields))))


def test_a_name_that_is_a_book_is_refused():
    with pytest.raises(MalformedArraysError):
        list(parts(pack(record({"w" * 2000: np.zeros(2, np.float32)}))))


def test_plain_arrays_are_no_pack():
    with pytest.raises(MalformedArraysError):
        unpack(record({"w": np.zeros(2, np.float32)}))
