"""Digests of what a reply holds: arrays, which may be large, and all its other values."""

from __future__ import annotations

import hashlib
import struct
from typing import TYPE_CHECKING, Final

from shieldwall.runtime.attestation.framing import frame, number

if TYPE_CHECKING:
    from collections.abc import Mapping
    from concurrent.futures import Executor

CHUNK: Final = 4 << 20
_TREE: Final = b"shieldwall tree v1"
_RECORDS: Final = b"shieldwall records v1"

Scalar = bool | int | float | str | bytes
Value = Scalar | list[Scalar] | tuple[Scalar, ...]


def tree_digest(data: bytes | bytearray | memoryview, pool: Executor | None = None) -> bytes:
    """SHA-256 over the SHA-256 of each 4 MiB of ``data``, in ``pool`` if one is given; 32 bytes.

    Precisely SHA-256(frame("shieldwall tree v1", decimal length of data, the chunks' digests joined)), where the last
    chunk may be shorter and no data has no chunk. hashlib releases the GIL, so threads help. ``data``: contiguous.
    """
    flat = memoryview(data)
    flat = flat.cast("B") if flat.nbytes else memoryview(b"")  # what is empty in one dimension cannot be cast
    chunks = [flat[start : start + CHUNK] for start in range(0, len(flat), CHUNK)]
    digests = (map if pool is None else pool.map)(_sha256, chunks)
    return hashlib.sha256(frame(_TREE, number(len(flat)), b"".join(digests))).digest()


def records_digest(records: Mapping[str, Mapping[str, Value]]) -> bytes:
    """SHA-256 of the values by record and key, in the order of their names; 32 bytes.

    Types count: 1, 1.0 and True differ. Floats are taken by their bits. The kind of a record, if it matters, belongs
    into its name. Raises TypeError at any other type of value.
    """
    encoded = [frame(name.encode(), _record(record)) for name, record in sorted(records.items())]
    return hashlib.sha256(frame(_RECORDS, *encoded)).digest()


def _record(record: Mapping[str, Value]) -> bytes:
    return frame(*(frame(key.encode(), _value(value)) for key, value in sorted(record.items())))


def _value(value: Value) -> bytes:
    if isinstance(value, (list, tuple)):
        return b"l" + frame(*(_scalar(each) for each in value))
    return _scalar(value)


def _scalar(value: object) -> bytes:
    match value:
        case bool():  # before int, of which it is one
            return b"t" if value else b"f"
        case int():
            return b"i" + number(value)
        case float():
            return b"d" + struct.pack(">d", value)
        case str():
            return b"s" + value.encode()
        case bytes():
            return b"b" + value
        case _:
            raise TypeError(f"a {type(value).__name__} has no place in a record")


def _sha256(chunk: memoryview) -> bytes:
    return hashlib.sha256(chunk).digest()
