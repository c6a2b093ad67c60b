"""Anything a YAML reader may hand over, as plain JSON values: what the API server would see, or a fault.

YAML knows dates, infinities, keys that are no texts, and values that hold themselves; JSON does not.
A map's empty values (null) are left out, as the API server leaves them out.
"""

from __future__ import annotations

import math
import sys
from dataclasses import dataclass, field
from typing import Final

Location = tuple[str | int, ...]
Json = dict[str, "Json"] | list["Json"] | str | int | float | bool | None

MAX_DEPTH: Final = 32
MAX_VALUES: Final = 200_000
"""500 clients with all they may hold stay far below; a document that refers to itself (YAML aliases) does not."""
_INT64: Final = 2**63
_LINE: Final = 60
"""Characters of a text that a sentence quotes."""


@dataclass(frozen=True, slots=True)
class Fault:
    """Something wrong at a place in the document."""

    location: Location
    message: str


@dataclass(slots=True)
class _Walk:
    faults: list[Fault] = field(default_factory=list)
    values: int = 0

    def refuse(self, location: Location, message: str) -> None:
        self.faults.append(Fault(location, message))

    def plain(self, value: object, location: Location) -> Json:
        """``value`` as JSON; None in its place after a fault."""
        self.values += 1
        if self.values > MAX_VALUES:
            if self.values == MAX_VALUES + 1:
                self.refuse((), f"The document holds more than {MAX_VALUES} values.")
            return None
        if isinstance(value, dict):
            return self._map(value, location)
        if isinstance(value, list | tuple):
            return self._list(value, location)
        return self._scalar(value, location)

    def _too_deep(self, location: Location) -> bool:
        if len(location) < MAX_DEPTH:
            return False
        self.refuse(location[:4], f"Nested more than {MAX_DEPTH} levels deep.")
        return True

    def _map(self, value: dict[object, object], location: Location) -> Json:
        if self._too_deep(location):
            return None
        result: dict[str, Json] = {}
        for key, child in value.items():
            if not isinstance(key, str) or not _is_unicode(key):
                self.refuse(location, f"Names of fields must be texts; {show(key)} is not one. Put it in quotes.")
            elif child is not None:
                known = len(self.faults)
                name = str(key)
                converted = self.plain(child, (*location, name))
                if converted is not None or len(self.faults) == known:
                    result[name] = converted
        return result

    def _list(self, value: list[object] | tuple[object, ...], location: Location) -> Json:
        if self._too_deep(location):
            return None
        return [self.plain(child, (*location, index)) for index, child in enumerate(value)]

    def _scalar(self, value: object, location: Location) -> Json:
        # Readers that keep comments hand over subclasses of the plain types.
        if value is None or isinstance(value, bool):
            return value
        if isinstance(value, int):
            if -_INT64 <= value < _INT64:
                return int(value)
            # As the API server reads it, which writes some that it has as floating the same way.
            if abs(value) <= sys.float_info.max:
                return float(value)
            self.refuse(location, "Must be a finite number.")
        elif isinstance(value, float):
            if math.isfinite(value):
                return float(value)
            self.refuse(location, "Must be a finite number.")
        elif isinstance(value, str):
            if _is_unicode(value):
                return str(value)
            self.refuse(location, "Must be valid Unicode text.")
        else:
            self.refuse(location, f"Must be a plain value, not a {type(value).__name__}. Put a text in quotes.")
        return None


def plain_json(document: object) -> tuple[Json, tuple[Fault, ...]]:
    """The document as JSON, without what is faulty, and the faults."""
    walk = _Walk()
    value = walk.plain(document, ())
    return value, tuple(walk.faults)


def show(value: object) -> str:  # noqa: PLR0911  # one line for each kind of value
    """A value in a sentence: short, and harmless on a terminal."""
    match value:
        case None:
            return "null"
        case bool():
            return str(value).lower()
        case int():
            return str(value) if -_INT64 <= value < _INT64 else "a huge number"
        case float():
            return repr(float(value))
        case str():
            text = ascii(str(value))
            return text if len(text) <= _LINE else f"{text[: _LINE - 4]}...'"
        case dict():
            return "a map"
        case list() | tuple():
            return "a list"
    return f"a {type(value).__name__}"


def _is_unicode(text: str) -> bool:
    """Whether the text can be written; YAML's escapes can make lone surrogates."""
    return not any("\ud800" <= character <= "\udfff" for character in text)
