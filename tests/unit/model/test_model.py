import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from shieldwall.runtime.model import (
    ArraySpec,
    InvalidModelError,
    Model,
    Schema,
    flatten,
    model_sha256,
    step,
    unflatten,
    update_of,
)

DTYPES = ["<f2", "<f4", "<f8", "|b1", "|i1", "|u1", "<i2", "<u2", "<i4", "<u4", "<i8", "<u8"]


def batch_norm():
    return {
        "weight": np.arange(6, dtype=np.float32).reshape(2, 3),
        "num_batches_tracked": np.array(7, np.int64),
        "bias": np.array([0.5, -0.5], np.float16),
    }


@st.composite
def models(draw):
    names = draw(st.lists(st.text(st.characters(categories=["L", "N", "P"]), min_size=1), max_size=4, unique=True))
    found = {"parameter": np.ones(2, draw(st.sampled_from([np.float16, np.float32, np.float64])))}
    for name in names:
        finite = (
            {} if (dtype := draw(st.sampled_from(DTYPES)))[1] != "f" else {"allow_nan": False, "allow_infinity": False}
        )
        shape = draw(array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=3))
        found[name] = draw(arrays(np.dtype(dtype), shape, elements=finite))
    return found


def test_floating_arrays_alone_enter_the_vector_in_the_models_order():
    model = Model.of(batch_norm())
    vector = flatten(model.arrays, model.schema)
    assert vector.dtype == np.float32
    assert vector.tolist() == [0, 1, 2, 3, 4, 5, 0.5, -0.5]
    assert [spec.name for spec in model.schema.counters] == ["num_batches_tracked"]


def test_a_float64_array_makes_the_vector_float64():
    assert Model.of({**batch_norm(), "wide": np.zeros(1)}).schema.vector_dtype == np.float64


@given(models())
def test_unflatten_undoes_flatten(found):
    model = Model.of(found)
    again = unflatten(flatten(model.arrays, model.schema), model.arrays, model.schema)
    assert Model.of(again).schema == model.schema
    assert model_sha256(again) == model.sha256
    assert list(again) == list(found)


def test_a_step_moves_parameters_and_replaces_counters_whatever_their_size():
    base = Model.of({**batch_norm(), "num_batches_tracked": np.array(2**53 + 1, np.int64)})
    moved = step(base, np.full(8, 0.25, np.float32), {"num_batches_tracked": np.array(2**53 + 3, np.int64)})
    assert moved.schema == base.schema
    assert moved.arrays["weight"].tolist() == [[0.25, 1.25, 2.25], [3.25, 4.25, 5.25]]
    assert moved.arrays["bias"].tolist() == [0.75, -0.25]
    assert moved.arrays["num_batches_tracked"] == 2**53 + 3


def test_an_update_is_the_difference_over_the_parameters():
    base = Model.of(batch_norm())
    local = {name: array + array.dtype.type(1) for name, array in batch_norm().items()}
    update = update_of(local, base)
    assert update.tolist() == [1.0] * 8
    assert step(base, update, {"num_batches_tracked": np.array(7)}).arrays["bias"].tolist() == [1.5, 0.5]


def test_half_precision_differences_are_taken_in_float32():
    base = Model.of({"w": np.array([-60000], np.float16)})
    assert update_of({"w": np.array([60000], np.float16)}, base).tolist() == [120000.0]


def test_a_difference_beyond_the_dtype_is_infinite_without_a_warning():
    largest = np.finfo(np.float32).max
    base = Model.of({"w": np.array([-largest], np.float32)})
    assert np.isposinf(update_of({"w": np.array([largest], np.float32)}, base)).all()


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_a_step_that_leaves_the_finite_numbers_is_refused(dtype):
    base = Model.of({"w": np.array([np.finfo(dtype).max], dtype)})
    with pytest.raises(InvalidModelError, match="'w' holds a value that is not finite"):
        step(base, np.full(1, np.finfo(base.schema.vector_dtype).max, base.schema.vector_dtype), {})


def test_a_models_arrays_are_its_own_and_cannot_be_changed():
    mine = batch_norm()
    model = Model.of(mine)
    mine["weight"][0, 0] = 99
    assert model.arrays["weight"][0, 0] == 0
    with pytest.raises(ValueError, match="read-only"):
        model.arrays["weight"][0, 0] = 1
    with pytest.raises(TypeError):
        model.arrays["weight"] = mine["weight"]


@pytest.mark.parametrize(
    ("found", "reason"),
    [
        ({}, "no floating-point parameter"),
        ({"n": np.ones(3, np.int64)}, "no floating-point parameter"),
        ({"w": np.ones((0, 3), np.float32)}, "no floating-point parameter"),
        ({"w": np.array([1, np.nan])}, "not finite"),
        ({"w": np.array([np.inf])}, "not finite"),
        ({"w": np.ones(2, np.complex64)}, "has dtype <c8"),
        ({"w": np.ones(2, np.longdouble)}, "has dtype"),
        ({"w": np.array([object()])}, "has dtype"),
        ({"w": np.array(["text"])}, "has dtype"),
        ({"w": np.zeros(2, "f4,i8")}, "has dtype"),
        ({"": np.ones(2)}, "printable name"),
        ({"a\0b": np.ones(2)}, "printable name"),
        ({"\x1b[31mred": np.ones(2)}, "printable name"),
        ({"n" * 513: np.ones(2)}, "printable name"),
    ],
)
def test_what_cannot_be_a_model_is_refused(found, reason):
    with pytest.raises(InvalidModelError, match=reason):
        Model.of(found)


def test_a_schema_names_each_array_once():
    with pytest.raises(InvalidModelError, match="same name"):
        Schema((ArraySpec("w", (1,), "<f4"), ArraySpec("w", (2,), "<f4")))


@given(models())
def test_the_digest_does_not_depend_on_memory_layout_or_byte_order(found):
    strange = {name: np.array(array, dtype=array.dtype.newbyteorder(">"), order="F") for name, array in found.items()}
    assert model_sha256(strange) == model_sha256(found) == Model.of(strange).sha256


def test_the_digest_is_a_fixed_function():
    # Computed from the definition: shared with whoever checks a release outside this program.
    assert (
        model_sha256({"w": np.array([1.0, -2.0], np.float32)})
        == "887e6c419bd870d8b5c87bc39a2525604517d61da5c000d6080626f480f93a68"
    )


@pytest.mark.parametrize(
    "other",
    [
        {"w": np.zeros((2, 2), np.float32), "v": np.zeros(1, np.float32)},
        {"v": np.zeros(1, np.float32), "w": np.zeros(4, np.float32)},
        {"w": np.zeros((4, 1), np.float32), "v": np.zeros(1, np.float32)},
        {"w": np.zeros(4, np.int32), "v": np.zeros(1, np.float32)},
        {"w": np.zeros(4, np.float32), "x": np.zeros(1, np.float32)},
        {"w": np.zeros(5, np.float32)},
        {"w": np.array([0, 0, 0, -0.0], np.float32), "v": np.zeros(1, np.float32)},
    ],
)
def test_models_that_differ_in_anything_have_different_digests(other):
    assert model_sha256(other) != model_sha256({"w": np.zeros(4, np.float32), "v": np.zeros(1, np.float32)})
