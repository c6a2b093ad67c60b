import io

import numpy as np
import pytest
from flwr.app import Array, ArrayRecord, ConfigRecord, MetricRecord, RecordDict
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from shieldwall.runtime.attestation.manifest import encode
from shieldwall.runtime.flower.messages import (
    SEAL_KEY,
    RoundFacts,
    claimed_examples,
    decode_array,
    manifest_of,
    only_arrays,
)
from shieldwall.runtime.flower.packing import MalformedArraysError

FACTS = RoundFacts("uid", str(2**64 - 1), 3, 1, "ab" * 32, "cd" * 32)
DTYPES = st.sampled_from([np.float32, np.float64, np.float16, np.int64, np.uint8, np.bool_])


@given(npst.arrays(DTYPES, npst.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=5)))
def test_an_array_is_decoded_to_itself_without_a_copy(array):
    sent = Array(array)
    decoded = decode_array(sent)
    np.testing.assert_array_equal(decoded, array)
    assert decoded.dtype == array.dtype
    assert decoded.shape == array.shape
    assert not decoded.flags.writeable


@given(st.binary(max_size=300), st.booleans())
def test_bytes_that_are_no_array_are_refused_and_never_raise_anything_else(data, with_magic):
    prefix = b"\x93NUMPY\x01\x00" if with_magic else b""
    with pytest.raises(MalformedArraysError):
        decode_array(Array("float32", (2,), "numpy.ndarray", prefix + data))


def headed(header):
    """An .npy whose header is exactly ``header``."""
    text = header.encode("latin-1", "replace")
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text


HEADERS = st.one_of(
    st.sampled_from(
        [
            "{'descr': (",
            "(((",
            "'''abc",
            "{'descr': (), 'fortran_order': False, 'shape': (1,)}",
            "{'descr': ('<f4',), 'fortran_order': False, 'shape': (1,)}",
            "{'descr': '<f4', 'fortran_order': False, 'shape': (True,)}",
            "{'descr': '<f4', 'fortran_order': False, 'shape': (0, 99999999999999999999)}",
            "{'descr': '<f4', 'fortran_order': False, 'shape': (-1,)}",
            "[" * 200,
        ]
    ),
    st.text("{}()[]'\":,<f480 descrfortran_ordershapeTrueFalse\n", max_size=120),
)


@given(HEADERS, st.sampled_from([(1,), (0, 99999999999999999999), ()]), st.sampled_from([b"", b"abcd"]))
def test_a_header_of_any_grammar_is_refused_and_never_raises_anything_else(header, shape, body):
    with pytest.raises(MalformedArraysError):
        decode_array(Array("float32", shape, "numpy.ndarray", headed(header) + body))


def saved(array, **options):
    stream = io.BytesIO()
    np.save(stream, array, **options)
    return stream.getvalue()


@pytest.mark.parametrize(
    "array",
    [
        Array("float32", (3,), "numpy.ndarray", saved(np.zeros(2, np.float32))),
        Array("float64", (2,), "numpy.ndarray", saved(np.zeros(2, np.float32))),
        Array("float32", (2,), "torch", saved(np.zeros(2, np.float32))),
        Array("float32", (2,), "numpy.ndarray", saved(np.zeros(2, np.float32)) + b"more"),
        Array("float32", (2,), "numpy.ndarray", saved(np.zeros(2, np.float32))[:-1]),
        Array("float32", (2, 3), "numpy.ndarray", saved(np.asfortranarray(np.zeros((2, 3), np.float32)))),
        Array("object", (1,), "numpy.ndarray", saved(np.array([{}]), allow_pickle=True)),
        Array("complex64", (1,), "numpy.ndarray", saved(np.zeros(1, np.complex64))),
    ],
)
def test_an_array_that_lies_about_itself_is_refused(array):
    with pytest.raises(MalformedArraysError):
        decode_array(array)


def content(**changes):
    records = {
        "arrays": ArrayRecord(array_dict={"w": Array(np.arange(3, dtype=np.float32))}),
        "metrics": MetricRecord({"num-examples": 7, "loss": 0.25, "list": [1.0, 2.0]}),
        "config": ConfigRecord({"text": "a", "flag": True}),
    }
    return RecordDict(records | changes)


def signed(records, facts=FACTS, node=1, reply_to="m"):
    return encode(manifest_of(records, facts, node, reply_to))


@pytest.mark.parametrize(
    "records",
    [
        content(arrays=ArrayRecord(array_dict={"w": Array(np.arange(1, 4, dtype=np.float32))})),
        content(arrays=ArrayRecord(array_dict={"v": Array(np.arange(3, dtype=np.float32))})),
        content(metrics=MetricRecord({"num-examples": 8, "loss": 0.25, "list": [1.0, 2.0]})),
        content(metrics=MetricRecord({"num-examples": 7, "loss": 0.5, "list": [1.0, 2.0]})),
        content(config=ConfigRecord({"text": "b", "flag": True})),
        content(config=ConfigRecord({"text": "a", "flag": 1})),
        content(more=ConfigRecord({"text": "a"})),
        content(more=MetricRecord({"num-examples": 7})),
    ],
)
def test_every_record_is_signed(records):
    assert signed(records) != signed(content())


def test_the_seal_itself_is_not_signed():
    assert signed(content(**{SEAL_KEY: ConfigRecord({"signature": b"x"})})) == signed(content())


def test_the_order_of_records_does_not_matter():
    assert signed(RecordDict(dict(reversed(content().items())))) == signed(content())


def test_round_facts_survive_the_journey():
    assert RoundFacts.from_record(FACTS.to_record()) == FACTS


@pytest.mark.parametrize(
    ("value", "expected"), [(7, 7), (7.9, 7), (-1, 0), (float("nan"), 0), (float("inf"), 0), ([7], 0)]
)
def test_claimed_examples_are_a_number_or_nothing(value, expected):
    assert claimed_examples(content(metrics=MetricRecord({"num-examples": value}))) == expected


@pytest.mark.parametrize("count", [0, 2])
def test_a_reply_has_exactly_one_array_record(count):
    records = {f"a{position}": ArrayRecord() for position in range(count)}
    with pytest.raises(MalformedArraysError):
        only_arrays(RecordDict(records))
