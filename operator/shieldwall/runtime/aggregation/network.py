"""Batcher's merge-exchange sorting network, pruned to the places that are wanted.

On rows of many coordinates a comparator is one ``minimum`` and one ``maximum`` over whole rows: for few rows that is
faster than any sort of each coordinate's values, and it reads the rows where they lie.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from numpy.typing import NDArray

    Row = NDArray[np.floating]


@dataclass(frozen=True, slots=True)
class Step:
    """One comparator on numbered rows: 0 … n−1 are the input, which is never written; the rest is scratch."""

    first: int
    second: int
    low: int | None
    """Where the smaller values go; None when nobody wants them."""
    high: int | None


@dataclass(frozen=True, slots=True)
class Network:
    """Steps that bring wanted places of n sorted rows about."""

    steps: tuple[Step, ...]
    scratch: int
    """How many scratch rows it needs."""
    wanted: tuple[int, ...]
    """The numbered rows that hold the wanted places in the end, in ascending order of their values."""

    def run(self, rows: Iterable[Row], scratch: Iterable[Row]) -> list[Row]:
        """The wanted places of ``rows``, n of shape (w,); ``scratch`` has at least as many rows as it needs."""
        buffers = [*rows, *scratch]
        for step in self.steps:
            first, second = buffers[step.first], buffers[step.second]
            # The low place is never one of the two inputs when there is a high one to come.
            if step.low is not None:
                np.minimum(first, second, out=buffers[step.low])
            if step.high is not None:
                np.maximum(first, second, out=buffers[step.high])
        return [buffers[place] for place in self.wanted]


def comparators(n: int) -> Iterator[tuple[int, int]]:
    """Merge exchange for n rows: pairs (i, j), i < j. Source: Knuth, The Art of Computer Programming 3, 5.2.2M."""
    top = 1 << max((n - 1).bit_length() - 1, 0)
    p = top
    while p > 0 and n > 1:
        q, r, d = top, 0, p
        while True:
            yield from ((i, i + d) for i in range(n - d) if i & p == r)
            if q == p:
                break
            d, q, r = q - p, q >> 1, p
        p >>= 1


@cache
def network(n: int, first: int, last: int) -> Network:
    """The network for the places ``first`` … ``last`` − 1 of n sorted rows, counted from the lowest."""
    needed, kept = set(range(first, last)), []
    for low, high in reversed(list(comparators(n))):
        if low in needed or high in needed:
            kept.append((low, high, low in needed, high in needed))
            needed |= {low, high}
    place, shelf = list(range(n)), _Shelf(n)
    steps = []
    for low, high, wants_low, wants_high in reversed(kept):
        inputs = (place[low], place[high])
        to_low = shelf.take() if wants_low and wants_high else None
        reused = [buffer for buffer in inputs if buffer >= n]
        target = reused.pop() if reused else shelf.take()
        shelf.free += reused
        if to_low is None and wants_low:
            to_low, to_high = target, None
        else:
            to_high = target
        place[low] = to_low if to_low is not None else place[low]
        place[high] = to_high if to_high is not None else place[high]
        steps.append(Step(*inputs, to_low, to_high))
    return Network(tuple(steps), shelf.most - n, tuple(place[first:last]))


@dataclass(slots=True)
class _Shelf:
    """Scratch rows that are free, numbered from the number of inputs on."""

    most: int
    free: list[int] = field(default_factory=list)

    def take(self) -> int:
        if self.free:
            return self.free.pop()
        self.most += 1
        return self.most - 1
