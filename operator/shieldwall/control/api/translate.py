"""From pydantic's errors to sentences."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, Any, Final

from shieldwall.control.api.fields import PATTERN_SENTENCES
from shieldwall.control.api.plain import show
from shieldwall.control.api.sectionrule import RULE

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pydantic_core import ErrorDetails

_MANY: Final = 12

_KINDS: Final = {
    "bool_type": "true or false",
    "dict_type": "a map",
    "float_type": "a number",
    "int_type": "a whole number",
    "list_type": "a list",
    "model_attributes_type": "a map",
    "model_type": "a map",
    "string_type": "a text",
    "tuple_type": "a list",
}

_BOUNDS: Final[dict[str, Callable[[dict[str, Any]], str]]] = {
    "greater_than": lambda context: f"must be greater than {context['gt']}",
    "greater_than_equal": lambda context: f"must be at least {context['ge']}",
    "less_than": lambda context: f"must be less than {context['lt']}",
    "less_than_equal": lambda context: f"must be at most {context['le']}",
    "string_pattern_mismatch": lambda context: PATTERN_SENTENCES[context["pattern"]],
}


def sentence(error: ErrorDetails, siblings: Sequence[str]) -> str:
    """What is wrong; ``siblings`` are the names of the fields that stand where an unknown one was found."""
    kind, value, context = error["type"], error["input"], error.get("ctx", {})
    if kind == "missing":
        return "This field is required."
    if kind == "extra_forbidden":
        return _unknown(str(error["loc"][-1]), siblings)
    if kind == RULE:
        return error["msg"]
    if kind in {"enum", "literal_error"}:
        return _choice(value, context["expected"])
    if kind in {"too_long", "too_short", "string_too_long", "string_too_short"}:
        return _length(kind, value, context)
    wanted = (
        f"must be {_KINDS[kind]}" if kind in _KINDS else _BOUNDS[kind](context) if kind in _BOUNDS else error["msg"]
    )
    return f"{_capital(wanted)}; {show(value)} is not allowed."


def _unknown(name: str, siblings: Sequence[str]) -> str:
    nearest = difflib.get_close_matches(name[:64], siblings, n=1)
    folded = [sibling for sibling in siblings if _fold(sibling) == _fold(name)]
    if guess := [*folded, *nearest]:
        return f"There is no such field. Did you mean {guess[0]}?"
    if 0 < len(siblings) <= _MANY:
        return f"There is no such field. Known here: {', '.join(siblings)}."
    return "There is no such field."


def _choice(value: object, expected: str) -> str:
    choices = [choice.strip("'") for choice in expected.replace(" or ", ", ").split(", ")]
    text = value if isinstance(value, str) else ""
    nearest = difflib.get_close_matches(text[:64], choices, n=1)
    folded = [choice for choice in choices if _fold(choice) == _fold(text)]
    guess = f" Did you mean {(folded + nearest)[0]}?" if folded or nearest else ""
    known = f"one of {', '.join(choices)}" if len(choices) > 1 else choices[0]
    return f"Must be {known}; {show(value)} is not allowed.{guess}"


def _length(kind: str, value: object, context: dict[str, Any]) -> str:
    unit = "characters" if kind.startswith("string") else "entries"
    length = f"; it has {len(value)}" if isinstance(value, str | list | dict) else ""
    if kind.endswith("long"):
        return f"Must have at most {context['max_length']} {unit}{length}."
    return f"Must have at least {context['min_length']} {unit}{length}."


def _fold(name: str) -> str:
    """As people mistype: snake_case, kebab-case and other capitals are the same name."""
    return name.replace("_", "").replace("-", "").lower()


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
