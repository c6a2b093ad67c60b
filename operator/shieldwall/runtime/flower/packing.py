"""A model as one array on the wire.

Flower moves each array as two objects or more, each with HTTP requests of its own on every hop, and a SuperLink spends
some 15 ms of CPU on a request: with many layers that is most of a round. So the arrays of a message travel in one, and
the user's app is handed them by name as ever.

Layout: for each array its name, dtype, shape (decimal, comma-separated), serialisation and data, every field preceded
by its length in bytes (8, big-endian). A reader copies nothing; where one ends is where the next begins.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from flwr.app import Array, ArrayRecord

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

PACKED_NAME: Final = "packed"
PACKED_STYPE: Final = "shieldwall.packed.v1"
_LENGTH_BYTES: Final = 8
_LONGEST_FIELD: Final = 1024
"""Of a name, dtype, shape or serialisation."""


class MalformedArraysError(ValueError):
    """Arrays on the wire are not what a message has."""


@dataclass(frozen=True, slots=True)
class Part:
    """One array of a pack: Flower's fields, and a view on its data."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    stype: str
    data: memoryview

    def array(self) -> Array:
        """As Flower has it; copies the data."""
        return Array(self.dtype, self.shape, self.stype, bytes(self.data))


def pack(arrays: Mapping[str, Array]) -> ArrayRecord:
    """All arrays, in their order, as one."""
    fields: list[bytes] = []
    for name, array in arrays.items():
        shape = ",".join(str(size) for size in array.shape)
        for field in (name.encode(), array.dtype.encode(), shape.encode(), array.stype.encode(), array.data):
            fields += (len(field).to_bytes(_LENGTH_BYTES, "big"), field)
    data = b"".join(fields)
    return ArrayRecord(array_dict={PACKED_NAME: Array("uint8", (len(data),), PACKED_STYPE, data)})


def parts(record: Mapping[str, Array]) -> Iterator[Part]:
    """The arrays of a pack; raises MalformedArraysError."""
    packed = record.get(PACKED_NAME)
    if packed is None or len(record) != 1 or packed.stype != PACKED_STYPE:
        raise MalformedArraysError("the arrays are not packed as one")
    rest = memoryview(packed.data)
    seen: set[str] = set()
    while rest:
        texts = []
        for _ in range(4):
            field, rest = _take(rest)
            texts.append(_text(field))
        data, rest = _take(rest)
        name, dtype, shape, stype = texts
        if name in seen:
            raise MalformedArraysError("two arrays have the same name")
        seen.add(name)
        yield Part(name, dtype, _shape(shape), stype, data)


def unpack(record: Mapping[str, Array]) -> ArrayRecord:
    """The arrays by name, for the user's app; raises MalformedArraysError."""
    return ArrayRecord(array_dict={part.name: part.array() for part in parts(record)})


def _take(rest: memoryview) -> tuple[memoryview, memoryview]:
    size = int.from_bytes(rest[:_LENGTH_BYTES], "big")
    end = _LENGTH_BYTES + size
    if len(rest) < end:
        raise MalformedArraysError("the pack ends within an array")
    return rest[_LENGTH_BYTES:end], rest[end:]


def _text(field: memoryview) -> str:
    if len(field) > _LONGEST_FIELD:
        raise MalformedArraysError(f"a field of {len(field)} bytes where a name or type is expected")
    try:
        return str(field, "utf-8")
    except UnicodeDecodeError as error:
        raise MalformedArraysError("a name or type is not UTF-8") from error


def _shape(text: str) -> tuple[int, ...]:
    sizes = text.split(",") if text else []
    if not all(size.isascii() and size.isdigit() for size in sizes):
        raise MalformedArraysError(f"{text[:40]!r} is not a shape")
    return tuple(int(size) for size in sizes)
