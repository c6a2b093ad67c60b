"""A model as named arrays, and as the one vector that aggregation works on.

Only floating arrays (16, 32 or 64 bit) are parameters and enter the vector. Integer and boolean arrays, such as
BatchNorm's ``num_batches_tracked``, are *counters*: they travel beside the vector, are never averaged or scaled, and
keep their dtype. Everything here is NumPy alone: no Flower, no files.
"""

from __future__ import annotations

import hashlib
import math
import struct
from dataclasses import dataclass, field
from functools import cached_property
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

Array = NDArray[Any]
Vector = NDArray[np.floating[Any]]
"""Shape (d,), float32 or float64."""

PARAMETER_DTYPES: Final = frozenset({"<f2", "<f4", "<f8"})
COUNTER_DTYPES: Final = frozenset({"|b1", "|i1", "|u1", "<i2", "<u2", "<i4", "<u4", "<i8", "<u8"})
LONGEST_NAME: Final = 512
_HASH_DOMAIN: Final = b"shieldwall-model-v1"


class InvalidModelError(ValueError):
    """Arrays cannot be a model; ``name`` is the array at fault, if one is."""

    def __init__(self, name: str | None, reason: str) -> None:
        super().__init__(reason if name is None else f"array {name!r} {reason}")
        self.name = name
        self.reason = reason


@dataclass(frozen=True, slots=True)
class ArraySpec:
    """What one array of a model must look like."""

    name: str
    shape: tuple[int, ...]
    dtype: str
    """NumPy's text for the dtype, little-endian: ``<f4``."""

    @property
    def is_parameter(self) -> bool:
        """Whether the array enters the vector."""
        return self.dtype in PARAMETER_DTYPES

    @property
    def size(self) -> int:
        """How many numbers it holds."""
        return math.prod(self.shape)


@dataclass(frozen=True)
class Schema:
    """The arrays of a model in their order."""

    arrays: tuple[ArraySpec, ...]

    def __post_init__(self) -> None:
        """Raise InvalidModelError unless a model can look like this."""
        for spec in self.arrays:
            _check_spec(spec)
        if len({spec.name for spec in self.arrays}) != len(self.arrays):
            raise InvalidModelError(None, "two arrays of the model have the same name")
        if self.size == 0:
            raise InvalidModelError(None, "the model has no floating-point parameter, so there is nothing to train")

    @classmethod
    def of(cls, arrays: Mapping[str, Array]) -> Schema:
        """The schema that ``arrays`` have; raises InvalidModelError."""
        return cls(
            tuple(ArraySpec(name, array.shape, array.dtype.newbyteorder("<").str) for name, array in arrays.items())
        )

    @cached_property
    def parameters(self) -> tuple[ArraySpec, ...]:
        """The arrays that enter the vector."""
        return tuple(spec for spec in self.arrays if spec.is_parameter)

    @cached_property
    def counters(self) -> tuple[ArraySpec, ...]:
        """The arrays that do not."""
        return tuple(spec for spec in self.arrays if not spec.is_parameter)

    @cached_property
    def size(self) -> int:
        """d, the length of the vector."""
        return sum(spec.size for spec in self.parameters)

    @cached_property
    def vector_dtype(self) -> np.dtype[np.floating[Any]]:
        """float64 if a parameter has it, float32 otherwise."""
        widest = any(spec.dtype == "<f8" for spec in self.parameters)
        return np.dtype(np.float64 if widest else np.float32)

    def slices(self) -> Iterator[tuple[ArraySpec, slice]]:
        """Each parameter and its place in the vector."""
        start = 0
        for spec in self.parameters:
            yield spec, slice(start, start + spec.size)
            start += spec.size


def _check_spec(spec: ArraySpec) -> None:
    """Names end up in zip archives and in terminals, so they are short and printable."""
    if not spec.name or not spec.name.isprintable() or len(spec.name) > LONGEST_NAME:
        raise InvalidModelError(spec.name, f"must have a printable name of at most {LONGEST_NAME} characters")
    if spec.dtype not in PARAMETER_DTYPES | COUNTER_DTYPES:
        raise InvalidModelError(spec.name, f"has dtype {spec.dtype}; a model holds floats, integers and booleans only")


@dataclass(frozen=True, eq=False)
class Model:
    """A finite model; its arrays are its own, read-only, little-endian and in C order. Build it with ``Model.of``."""

    schema: Schema
    arrays: Mapping[str, Array] = field(repr=False)

    @classmethod
    def of(cls, arrays: Mapping[str, Array]) -> Model:
        """Copy ``arrays``, which keep their order; raises InvalidModelError, also for a value that is not finite."""
        schema = Schema.of(arrays)
        return cls.owning(
            schema, {spec.name: np.array(arrays[spec.name], dtype=spec.dtype, order="C") for spec in schema.arrays}
        )

    @classmethod
    def owning(cls, schema: Schema, own: dict[str, Array]) -> Model:
        """Of arrays with this schema that nobody else has; they become read-only. Raises InvalidModelError."""
        for spec in schema.parameters:
            if not np.isfinite(own[spec.name]).all():
                raise InvalidModelError(spec.name, "holds a value that is not finite")
        for array in own.values():
            array.setflags(write=False)
        return cls(schema, MappingProxyType(own))

    @cached_property
    def sha256(self) -> str:
        """``model_sha256`` of its arrays."""
        return model_sha256(self.arrays)


def flatten(arrays: Mapping[str, Array], schema: Schema) -> Vector:
    """The parameters as one vector of shape (schema.size,) and dtype schema.vector_dtype; counters are left out."""
    vector = np.empty(schema.size, schema.vector_dtype)
    for spec, place in schema.slices():
        vector[place] = arrays[spec.name].reshape(-1)
    return vector


def unflatten(vector: Vector, counters: Mapping[str, Array], schema: Schema) -> dict[str, Array]:
    """Undo ``flatten``: arrays in the schema's order, shapes and dtypes, counters taken from ``counters``.

    A float16 or float32 array overflows to infinity where the vector holds more than its dtype can.
    """
    places = {spec.name: place for spec, place in schema.slices()}
    with np.errstate(over="ignore"):
        return {
            spec.name: (
                vector[places[spec.name]].reshape(spec.shape) if spec.is_parameter else counters[spec.name]
            ).astype(spec.dtype, copy=True)
            for spec in schema.arrays
        }


def update_of(local: Mapping[str, Array], base: Model) -> Vector:
    """``local − base`` over the parameters, shape (d,); ``local`` must have the schema of ``base``.

    A difference that the vector's dtype cannot hold becomes infinite; admission refuses it.
    """
    update = np.empty(base.schema.size, base.schema.vector_dtype)
    with np.errstate(over="ignore"):
        for spec, place in base.schema.slices():
            out = update[place]
            np.subtract(local[spec.name].reshape(-1), base.arrays[spec.name].reshape(-1), out=out, dtype=out.dtype)
    return update


def step(base: Model, delta: Vector, counters: Mapping[str, Array]) -> Model:
    """``base + delta`` with these counters; raises InvalidModelError when a parameter would not be finite.

    Made array by array: besides the new model no memory of its size is taken.
    """
    places = {spec.name: place for spec, place in base.schema.slices()}

    def moved(spec: ArraySpec) -> Array:
        total = np.add(base.arrays[spec.name].reshape(-1), delta[places[spec.name]], dtype=delta.dtype)
        return total.reshape(spec.shape).astype(spec.dtype, copy=False)

    with np.errstate(over="ignore"):
        arrays = {
            spec.name: moved(spec) if spec.is_parameter else np.array(counters[spec.name], spec.dtype, order="C")
            for spec in base.schema.arrays
        }
    return Model.owning(base.schema, arrays)


def model_sha256(arrays: Mapping[str, Array]) -> str:
    """Hex digest of names, dtypes, shapes and values, in order.

    Values count in C order and little-endian, and every field carries its length, so the digest depends neither on
    the machine's byte order nor on strides, and no two different models give the same bytes to hash.
    """
    digest = hashlib.sha256(_framed(_HASH_DOMAIN) + struct.pack("<Q", len(arrays)))
    for name, array in arrays.items():
        canonical = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<")).reshape(-1)
        digest.update(_framed(name.encode()) + _framed(canonical.dtype.str.encode()))
        digest.update(struct.pack(f"<Q{array.ndim}Q", array.ndim, *array.shape))
        digest.update(struct.pack("<Q", canonical.nbytes))
        digest.update(canonical.view(np.uint8).data)
    return digest.hexdigest()


def _framed(data: bytes) -> bytes:
    return struct.pack("<Q", len(data)) + data
