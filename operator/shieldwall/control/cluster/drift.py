"""Whether an object still is what was applied: every field that we set has the value that we set."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_MEANT: Final = frozenset({"allowPrivilegeEscalation", "automountServiceAccountToken", "enableServiceLinks"})
"""Fields of ours that are true where they are absent."""
_FIXED: Final = "volumeClaimTemplates"
"""A whole that the API server fills in, and lets nobody change."""


def drift(desired: Any, live: Any, path: str = "") -> Iterator[str]:  # noqa: ANN401  # JSON
    """The paths of fields in which ``live`` is not as ``desired``; fields that we do not set are not looked at.

    An empty value and none are the same, for the API server drops most empty ones, but for a false that it keeps: what
    is absent then means true. Lists of named things are compared by
    name, all others by place, and both must have the same length.
    """
    if isinstance(desired, dict):
        if not isinstance(live, dict):
            if desired or live is not None:
                yield from _leaves(desired, path)
            return
        for key, value in desired.items():
            yield from drift(value, live.get(key), f"{path}.{key}" if path else key)
    elif isinstance(desired, list):
        yield from _lists(desired, live if isinstance(live, list) else [], path)
    elif desired != live and (desired or live or path.rpartition(".")[2] in _MEANT):
        yield path


def unasked(desired: Any, live: Any, fields: Mapping[str, Any], path: str = "") -> Iterator[str]:  # noqa: ANN401  # JSON
    """The paths of what is in ``live`` by a field set (``fieldsV1``) and not in ``desired``.

    What the set names without naming anything within was written as a whole (a selector, say), and is compared so.

    Source: sigs.k8s.io/structured-merge-diff, ``fieldpath/serialize``: ``f:`` and a field, ``k:`` and the keys of an
    item in a list, ``v:`` and a value in a set, ``.`` for the whole itself.
    """
    for step, inner in fields.items():
        sort, _, name = step.partition(":")
        if sort == "f":
            wanted, found, place = _field(desired, name), _field(live, name), f"{path}.{name}" if path else name
        elif sort == "k":
            keys = json.loads(name)
            wanted, found, place = _item(desired, keys), _item(live, keys), f"{path}[{name}]"
        else:
            if sort == "v" and json.loads(name) not in desired:
                yield path
            continue
        if wanted is None:
            yield place
        elif inner:
            yield from unasked(wanted, found, inner, place)
        elif name != _FIXED:
            yield from _more(wanted, found, place)


def _field(value: Any, name: str) -> Any:  # noqa: ANN401  # JSON
    return value.get(name) if isinstance(value, dict) else None


def _item(value: Any, keys: Mapping[str, Any]) -> Any:  # noqa: ANN401  # JSON
    """The item with these keys, of which what is a default may be left out."""
    items = value if isinstance(value, list) else []
    return next((item for item in items if all(item.get(key, each) == each for key, each in keys.items())), None)


def _more(desired: Any, live: Any, path: str) -> Iterator[str]:  # noqa: ANN401  # JSON
    """The paths of what is in ``live`` beyond ``desired``; ``drift`` tells of all else."""
    if isinstance(desired, dict) and isinstance(live, dict):
        for key, value in live.items():
            place = f"{path}.{key}" if path else key
            if key in desired:
                yield from _more(desired[key], value, place)
            elif value:
                yield place
    elif isinstance(desired, list) and isinstance(live, list):
        for index, (wanted, found) in enumerate(zip(desired, live, strict=False)):
            yield from _more(wanted, found, f"{path}[{index}]")


def _lists(desired: list[Any], live: list[Any], path: str) -> Iterator[str]:
    if len(desired) != len(live):
        yield path
        return
    if desired and all(isinstance(item, dict) and "name" in item for item in [*desired, *live]):
        by_name = {item["name"]: item for item in live}
        for item in desired:
            yield from drift(item, by_name.get(item["name"]), f"{path}[{item['name']}]")
        return
    for index, (wanted, found) in enumerate(zip(desired, live, strict=True)):
        yield from drift(wanted, found, f"{path}[{index}]")


def _leaves(desired: dict[str, Any], path: str) -> Iterator[str]:
    """All that a missing object lacks; nothing when it would be empty."""
    for key, value in desired.items():
        yield from drift(value, {} if isinstance(value, dict) else None, f"{path}.{key}" if path else key)
