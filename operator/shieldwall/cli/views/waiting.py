"""What a command waits for: in place on a terminal, elsewhere a line for each change."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from rich.text import Text

if TYPE_CHECKING:
    from rich.console import Console
    from rich.status import Status


class Waiting:
    """Context manager; leaves the terminal as it was."""

    def __init__(self, screen: Console) -> None:
        self._screen = screen
        self._status: Status | None = screen.status("") if screen.is_terminal else None
        self._said = ""

    def __enter__(self) -> Self:
        """Begin."""
        if self._status is not None:
            self._status.start()
        return self

    def __exit__(self, *_: object) -> None:
        """End; what was said last stays where it was a line."""
        if self._status is not None:
            self._status.stop()

    def show(self, text: str) -> None:
        """Say ``text`` unless it was said last."""
        if text == self._said:
            return
        self._said = text
        if self._status is not None:
            self._status.update(Text(text))
        else:
            self._screen.print(text)
