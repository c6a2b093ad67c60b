"""Serial numbers: random, so that no certificate can be told before it is issued (RFC 5280, 4.1.2.2)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

SERIAL_BITS: Final = 128


def new_serial(random: Callable[[int], bytes]) -> int:
    """Draw a positive serial of 128 bits, at most 17 octets in DER; ``random(n)`` gives ``n`` bytes (``os.urandom``).

    Zero is not a serial (RFC 5280, 4.1.2.2), so 1 is drawn in its place.
    """
    return int.from_bytes(random(SERIAL_BITS // 8), "big") or 1


def serial_text(serial: int) -> str:
    """The form in records and deny lists: lower-case hex without leading zeros."""
    return f"{serial:x}"


def short_serial(serial: str) -> str:
    """The first letters: enough for people to tell two apart."""
    return f"{serial[:4]}…"
