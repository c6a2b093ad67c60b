"""Changes to generated documents: every path that a schema knows, and a value put at one of them."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

Path = tuple[str | int, ...]


def every_path(schema: dict[str, Any], path: Path = ()) -> Iterator[Path]:
    """All paths that an OpenAPI schema knows, with a list's first entry for all of them."""
    if path:
        yield path
    for name, child in schema.get("properties", {}).items():
        yield from every_path(child, (*path, name))
    if "items" in schema:
        yield from every_path(schema["items"], (*path, 0))


def put(document: Any, path: Path, value: object) -> None:
    """Set what stands at ``path``, and make what leads there; nothing where something else stands in the way.

    A list that stands where the path has a name is gone into by its first entry.
    """
    for step, following in pairwise(path):
        if isinstance(document, list):
            index = step if isinstance(step, int) else 0
            document.extend(_empty(following) for _ in range(index + 1 - len(document)))
            document = document[index]
        elif isinstance(document, dict):
            document = document.setdefault(step, _empty(following))
        if not isinstance(document, dict | list):
            return
    if isinstance(document, dict):
        document[path[-1]] = value
    else:
        document[:1] = [value]


def _empty(following: str | int) -> dict[str, Any] | list[Any]:
    return [] if isinstance(following, int) else {}
