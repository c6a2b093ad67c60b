"""Sentences that fit into status: bounded, and the same for the same facts."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

MESSAGE: Final = 512
"""Bytes of a condition's message: with all conditions and lists at their longest, status stays below 20 KiB."""
REMARK: Final = 128
"""Bytes of what is said about one client or one check."""
_NAMED: Final = 5
_ELLIPSIS: Final = "…"
_RFC3339: Final = "%Y-%m-%dT%H:%M:%SZ"


def clip(text: str, length: int) -> str:
    """At most ``length`` bytes of UTF-8, on one line, all of it printable; an ellipsis stands for the rest."""
    plain = "".join(letter if letter.isprintable() else " " for letter in text[:length])
    data = plain.encode()
    if len(data) <= length and len(text) <= length:
        return plain
    return data[: length - len(_ELLIPSIS.encode())].decode(errors="ignore") + _ELLIPSIS


def some(names: Sequence[str]) -> str:
    """The first few names, and how many more there are."""
    more = len(names) - _NAMED
    return ", ".join(names[:_NAMED]) + (f" and {more} more" if more > 0 else "")


def count(number: int, noun: str) -> str:
    """``1 leaf``, ``3 leaves``; ``noun`` is singular and a slash before its plural, such as ``leaf/leaves``."""
    one, many = noun.split("/")
    return f"{number} {one if number == 1 else many}"


def moment(text: str) -> datetime | None:
    """The time that ``rfc3339`` wrote; None for what somebody else did."""
    try:
        return datetime.strptime(text, _RFC3339).replace(tzinfo=UTC)
    except ValueError:
        return None


def rfc3339(time: datetime) -> str:
    """A time as Kubernetes writes it: UTC, whole seconds (RFC 3339); ``time`` is aware and UTC."""
    return time.strftime(_RFC3339)
