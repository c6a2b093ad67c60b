"""How text reaches people: no control characters from elsewhere, colour only where it is wanted."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING, Final

from rich.console import Console

if TYPE_CHECKING:
    from collections.abc import Sequence

_WIDEST_NAME: Final = 34
_NARROWEST_TEXT: Final = 30


def console(*, stderr: bool = False) -> Console:
    """Standard output or error. Rich respects NO_COLOR and leaves colour out where there is no terminal."""
    return Console(stderr=stderr, highlight=False, markup=False, emoji=False, soft_wrap=True)


def printable(text: str) -> str:
    """``text`` without anything that moves a cursor or hides: names and errors come from strangers."""
    return "".join(char if char.isprintable() else _escape(char) for char in text)


def _escape(char: str) -> str:
    if char in "\n\r\t":
        return " "
    return char.encode("unicode_escape").decode("ascii")


def two_columns(rows: Sequence[tuple[str, str]], width: int) -> str:
    """Names to the left, their sentences wrapped to the right; each line begins with two spaces."""
    longest = max((len(name) for name, _ in rows), default=0)
    column = min(longest, _WIDEST_NAME, max(width - _NARROWEST_TEXT - 4, 8))
    return "\n".join(_row(printable(name), printable(text), column, width) for name, text in rows)


def _row(name: str, text: str, column: int, width: int) -> str:
    lines = textwrap.wrap(text, max(width - column - 4, _NARROWEST_TEXT), break_on_hyphens=False) or [""]
    if len(name) > column:
        lines.insert(0, "")
    first = f"  {name.ljust(column)}  {lines[0]}".rstrip()
    return "\n".join([first, *(" " * (column + 4) + line for line in lines[1:])])
