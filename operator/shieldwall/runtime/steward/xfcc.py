"""Reads ``x-forwarded-client-cert``, the header in which the proxy shows the gate a client's certificate.

The proxy replaces whatever comes from outside, so one element is all there can be. Everything the proxy would not
write itself is refused: a header that can be read in two ways is an attack or a fault.
Format: Envoy, HTTP connection manager, "x-forwarded-client-cert".
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Final
from urllib.parse import unquote

HEADER: Final = "x-forwarded-client-cert"
_SINGLE: Final = frozenset({"Hash", "Cert", "Chain", "Subject"})
_REPEATED: Final = frozenset({"By", "URI", "DNS"})


class MalformedHeaderError(ValueError):
    """Not one element as the proxy writes it; ``reason`` says in a few words why."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"{HEADER}: {reason}")
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Element:
    """The certificate of the peer, as the proxy describes it."""

    certificate: str
    """PEM."""
    uris: tuple[str, ...]
    """Its URI names."""


@lru_cache(maxsize=1024)
def parse(header: str) -> Element:
    """Read the header's single element, once for each text; raises MalformedHeaderError."""
    pairs = [_pair(part) for part in _split(header)]
    names = [name for name, _ in pairs]
    for name in names:
        if name not in _SINGLE | _REPEATED:
            raise MalformedHeaderError("a part that the proxy does not write")
        if name in _SINGLE and names.count(name) > 1:
            raise MalformedHeaderError(f"more than one {name}")
    certificate = next((value for name, value in pairs if name == "Cert"), "")
    if not certificate:
        raise MalformedHeaderError("no certificate in it")
    return Element(unquote(certificate), tuple(value for name, value in pairs if name == "URI"))


def _pair(part: str) -> tuple[str, str]:
    name, equals, value = part.partition("=")
    if not equals:
        raise MalformedHeaderError("a part without a value")
    if value.startswith('"'):
        if len(value) == 1 or not value.endswith('"'):
            raise MalformedHeaderError("text after a closing quote")
        value = value[1:-1]
    return name, value


def _split(header: str) -> list[str]:
    """Split at semicolons outside quotes; a quote opens only right after ``=``."""
    parts, part, quoted, escaped = [], "", False, False
    for char in header:
        if not char.isprintable():
            raise MalformedHeaderError("a control character")
        if escaped:
            escaped = False
        elif quoted and char == "\\":
            escaped = True
        elif char == '"':
            if not quoted and not part.endswith("="):
                raise MalformedHeaderError("a quote inside a value")
            quoted = not quoted
        elif char == "," and not quoted:
            raise MalformedHeaderError("more than one element")
        elif char == ";" and not quoted:
            parts.append(part)
            part = ""
            continue
        part += char
    if quoted:
        raise MalformedHeaderError("a quote that does not close")
    return [*parts, part]
