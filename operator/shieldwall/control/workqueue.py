"""A work queue as client-go has it: each key once, one at a time, later again after a failure."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Final, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

K = TypeVar("K", bound="Hashable")

_FIRST_WAIT: Final = 0.5
_LONGEST_WAIT: Final = 120.0
_COALESCE: Final = 0.3


class WorkQueue(Generic[K]):
    """Keys that need work.

    A key that is added while it is worked on comes again afterwards; added twice while it waits, it comes once.

    Args:
        jitter: a number in [0, 1) for each call; waits are spread by it.
        coalesce: seconds for which ``add_soon`` waits.
    """

    def __init__(self, jitter: Callable[[], float], coalesce: float = _COALESCE) -> None:
        self._jitter = jitter
        self._coalesce = coalesce
        self._order: deque[K] = deque()
        self._dirty: set[K] = set()
        self._busy: set[K] = set()
        self._failures: dict[K, int] = {}
        self._timers: dict[K, asyncio.TimerHandle] = {}
        self._waiter = asyncio.Event()
        self._closed = False
        self.retries = 0
        """How many failures there were in all."""

    def __len__(self) -> int:
        return len(self._order)

    def add(self, key: K) -> None:
        """Ask for work on ``key`` as soon as possible."""
        timer = self._timers.pop(key, None)
        if timer is not None:
            timer.cancel()
        if key in self._dirty or self._closed:
            return
        self._dirty.add(key)
        if key not in self._busy:
            self._order.append(key)
            self._waiter.set()

    def add_soon(self, key: K) -> None:
        """Ask for work on ``key`` in a moment: what comes in a burst is looked at once."""
        self.add_after(key, self._coalesce)

    def add_after(self, key: K, seconds: float) -> None:
        """Ask for work on ``key`` after a time, unless it is asked for earlier."""
        if key in self._dirty or self._closed:
            return
        loop = asyncio.get_running_loop()
        timer = self._timers.get(key)
        if timer is not None:
            if timer.when() <= loop.time() + seconds:
                return
            timer.cancel()
        self._timers[key] = loop.call_later(seconds, self.add, key)

    async def get(self) -> K:
        """The next key; ``done`` or ``failed`` must follow."""
        while not self._order:
            self._waiter.clear()
            await self._waiter.wait()
        key = self._order.popleft()
        self._dirty.discard(key)
        self._busy.add(key)
        return key

    def done(self, key: K, again: float | None = None) -> None:
        """The work on ``key`` went well; it comes again after ``again`` seconds."""
        self._failures.pop(key, None)
        self._end(key)
        if again is not None:
            self.add_after(key, again)

    def failed(self, key: K) -> float:
        """The work on ``key`` failed; it comes again, later each time. Returns in how many seconds."""
        count = self._failures.get(key, 0)
        self._failures[key] = count + 1
        self.retries += 1
        wait = float(min(_FIRST_WAIT * 2 ** min(count, 16), _LONGEST_WAIT)) * (0.75 + 0.5 * self._jitter())
        self._end(key)
        self.add_after(key, wait)
        return wait

    def close(self) -> None:
        """Drop all that waits, and take nothing more."""
        self._closed = True
        self.clear()

    def clear(self) -> None:
        """Drop all that waits."""
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()
        self._order.clear()
        self._dirty.clear()

    def _end(self, key: K) -> None:
        self._busy.discard(key)
        if key in self._dirty:
            self._order.append(key)
            self._waiter.set()
