"""Where a command writes, checked before it works for minutes."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


class BadPlaceError(ValueError):
    """An option names a place that cannot be written to; ``option`` is the option."""

    def __init__(self, option: str, path: Path, reason: str) -> None:
        super().__init__(f"{option}: {path} {reason}.")
        self.option = option


def require_directory(option: str, path: Path) -> None:
    """Make the directory if it is not there; raises BadPlaceError."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BadPlaceError(option, path, f"cannot be made a directory: {error.strerror}") from error


def require_report(option: str, path: Path) -> None:
    """Check the name of an HTML file beside which a JSON file will stand; raises BadPlaceError."""
    if path.is_dir():
        raise BadPlaceError(option, path, "is a directory; name the HTML file")
    if path.suffix == ".json":
        raise BadPlaceError(option, path, "would be HTML; the JSON is written beside it")
    require_directory(option, path.parent)
