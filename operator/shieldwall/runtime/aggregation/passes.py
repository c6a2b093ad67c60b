"""Passes over long vectors: on a few threads, a block at a time, so that nothing but the blocks is held besides them.

A vector is cut into segments that depend on its length alone. Each segment is one task, and what the tasks return is
put together in the segments' order: the number of threads changes the time and not a bit of the result. BLAS runs on
one thread meanwhile, for its own threads do not know of a pod's CPU limit and would fight ours.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from functools import cache
from itertools import pairwise
from typing import TYPE_CHECKING, Final, TypeVar

import numpy as np
from threadpoolctl import ThreadpoolController

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray

    from shieldwall.runtime.model import Vector

    Block = NDArray[np.floating]

S = TypeVar("S")
T = TypeVar("T")

SEGMENTS: Final = 8
MOST_THREADS: Final = 4
"""Each holds a block, and more of them wait for memory."""
WIDEST: Final = 16_400
"""Coordinates of a block at most. Not a power of two, for those alias in the cache."""
_NARROWEST: Final = 2050
_NUMBERS: Final = 1_640_000
"""Of a block of n rows: it stays in the cache."""


def width_for(rows: int) -> int:
    """Coordinates of a block of so many rows."""
    return min(WIDEST, max(_NARROWEST, _NUMBERS // rows // _NARROWEST * _NARROWEST))


def spans(part: slice, width: int) -> Iterator[slice]:
    """The blocks of a segment."""
    return (slice(start, min(start + width, part.stop)) for start in range(part.start, part.stop, width))


def in_segments(size: int, threads: int, work: Callable[[slice], T]) -> list[T]:
    """``work`` on each segment of a vector of ``size`` coordinates, at most ``threads`` at once; results in order."""
    count = max(1, min(SEGMENTS, -(-size // WIDEST)))
    parts = [slice(start, stop) for start, stop in pairwise(size * k // count for k in range(count + 1))]
    return each(work, parts, threads)


def each(work: Callable[[S], T], items: Sequence[S], threads: int) -> list[T]:
    """``work`` on each item, at most ``threads`` and MOST_THREADS at once; results in order."""
    with _controller().limit(limits=1, user_api="blas"):
        if threads <= 1 or len(items) <= 1:
            return [work(item) for item in items]
        with ThreadPoolExecutor(min(threads, len(items), MOST_THREADS)) as pool:
            return list(pool.map(work, items))


@cache
def _controller() -> ThreadpoolController:
    return ThreadpoolController()


def gather(vectors: Sequence[Vector], span: slice, into: Block, scales: NDArray[np.float64] | None = None) -> Block:
    """The vectors' coordinates in ``span`` as rows of ``into``, (n, at least the span's width), in its dtype.

    Each is multiplied by its scale, where there are ``scales``, (n,).
    """
    block = into[:, : span.stop - span.start]
    for position, (row, vector) in enumerate(zip(block, vectors, strict=True)):
        if scales is None or scales[position] == 1.0:
            row[:] = vector[span]
        else:
            np.multiply(vector[span], scales[position], out=row)
    return block
