"""Length-prefixed fields: an encoding in which no field can reach into the next."""

from __future__ import annotations

from typing import Final

_PREFIX: Final = 8


class FramingError(ValueError):
    """Bytes are not a sequence of length-prefixed fields."""


def frame(*fields: bytes) -> bytes:
    """Each field after its length in 8 bytes, big-endian."""
    return b"".join(len(field).to_bytes(_PREFIX, "big") + field for field in fields)


def unframe(data: bytes) -> list[bytes]:
    """The fields of ``frame``; raises FramingError."""
    fields = []
    at = 0
    while at < len(data):
        start = at + _PREFIX
        at = start + int.from_bytes(data[at:start], "big")
        if at > len(data):
            raise FramingError("a field is longer than what is left")
        fields.append(data[start:at])
    return fields


def number(value: int) -> bytes:
    """A whole number of any size as decimal text."""
    return str(int(value)).encode("ascii")
