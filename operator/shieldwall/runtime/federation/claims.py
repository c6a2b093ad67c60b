"""What clients claim in metrics, held within what honest clients claim.

Strategies weigh by metrics, average them and may do anything else with them. So each number is moved into the range
that is left when the f lowest and the f highest are taken away: for n > 2f replies the range of the honest ones,
whatever f liars claim. What honest clients say stays as it is but for the outermost.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from flwr.app import MetricRecord

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flwr.app import RecordDict

    Number = int | float

_LEAST: Final = 1


def bound_claims(contents: Sequence[RecordDict], f: int) -> None:
    """Move every number in the metrics of ``contents``, which have one form, into its range, in place.

    With n ≤ 2f replies nothing is known of them, and each number becomes a median: one that some client sent, so that
    whole numbers stay whole. Source: winsorising; the range is that of Yin 2018 (arXiv:1803.01498), Definition 2.
    """
    cut = min(f, (len(contents) - _LEAST) // 2)
    if not contents or cut <= 0:
        return
    for name in tuple(contents[0].metric_records):
        records = [content.metric_records[name] for content in contents]
        bounded: list[dict[str, Number | list[Number]]] = [{} for _ in records]
        for key in records[0]:
            values = [record[key] for record in records]
            for place, value in zip(bounded, _within(values, cut), strict=True):
                place[key] = value
        for content, numbers in zip(contents, bounded, strict=True):
            content[name] = MetricRecord(numbers)  # type: ignore[arg-type]  # each list is of ints or of floats


def _within(values: Sequence[Number | Sequence[Number]], cut: int) -> Sequence[Number | list[Number]]:
    lists = [list(value) for value in values if isinstance(value, list)]
    if lists:
        columns = [_clamped(column, cut) for column in zip(*lists, strict=True)]
        return [list(row) for row in zip(*columns, strict=True)] if columns else [[] for _ in values]
    return _clamped([value for value in values if isinstance(value, int | float)], cut)


def _clamped(values: Sequence[Number], cut: int) -> list[Number]:
    ordered = sorted(values)
    low, high = ordered[cut], ordered[-cut - 1]
    return [min(max(value, low), high) for value in values]
