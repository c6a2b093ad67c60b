"""What the records of a reply look like, apart from their values.

Strategies of Flower take it that all replies look alike and raise when one does not, so a single client could end a
run by naming a metric differently. The form that most replies have is the app's; a reply of another form is left out.
"""

from __future__ import annotations

import math
from collections import Counter
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

    from flwr.app import RecordDict

Form = tuple[tuple[str, str, tuple[str, ...]], ...]
"""Name, kind and, of metrics, the keys with their types; sorted. One that holds a number that is none has no equal."""

_NOT_FINITE: Final[Form] = (("", "not finite", ()),)
_NAN: Final = "not a number"


def form_of(content: RecordDict) -> Form:
    """The form of a reply's metrics and arrays."""
    metrics = {
        name: tuple(sorted(f"{key}: {_kind(value)}" for key, value in record.items()))
        for name, record in content.metric_records.items()
    }
    if any(kind.endswith(_NAN) for kinds in metrics.values() for kind in kinds):
        return _NOT_FINITE
    return tuple(
        sorted(
            [(name, "arrays", ()) for name in content.array_records]
            + [(name, "metrics", kinds) for name, kinds in metrics.items()]
        )
    )


def usual_form(contents: Iterable[RecordDict]) -> Form | None:
    """The form that most replies have, the first by its text among equals; None when no reply is sound."""
    counts = Counter(form_of(content) for content in contents)
    del counts[_NOT_FINITE]
    return min(counts, key=lambda form: (-counts[form], form), default=None)


def _kind(value: float | list[int] | list[float]) -> str:
    values = value if isinstance(value, list) else [value]
    if not all(math.isfinite(each) for each in values):
        return _NAN
    return f"{len(values)} numbers" if isinstance(value, list) else "number"
