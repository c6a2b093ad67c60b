"""The watches of all trainings: one task each, with a bound on what they do at once."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, Final, Generic, TypeVar
from weakref import WeakValueDictionary

from shieldwall.control.steward.watch import Pace, Share, StewardWatch, Surroundings, Turns

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Hashable, Mapping
    from datetime import datetime

    from shieldwall.control.steward.api import Whereabouts
    from shieldwall.control.steward.credentials import Credentials
    from shieldwall.control.steward.sight import StewardSight

K = TypeVar("K", bound="Hashable")

_IN_FLIGHT: Final = 32
_IN_FLIGHT_SILENT: Final = 16
_PROBES: Final = 8
_IN_GROUP: Final = 2


class StewardWatches(Generic[K]):
    """Starts, nudges and stops watches by key.

    Args:
        resolve: where a training's steward is; in a cluster the Service's DNS name.
        credentials: the operator's own for a training; may raise StewardUnreachableError while there are none.
        report: called with each new sight, from the event loop.
        clock: the time, aware of its zone.
        jitter: a number in [0, 1) for each call.
        current: whether this is the serial number of the leaf that a server has to serve by now.
        reinstatements: which clients of a training people want back, nonces by name.
        group: of which stewards only two are asked, and two probed, at once: those in the same hands.
    """

    def __init__(  # noqa: PLR0913  # all that a watch depends on, each by name
        self,
        *,
        resolve: Callable[[K], Whereabouts],
        credentials: Callable[[K], Awaitable[Credentials]],
        report: Callable[[K, StewardSight], None],
        clock: Callable[[], datetime],
        jitter: Callable[[], float],
        current: Callable[[K, str], bool] = lambda _key, _serial: True,
        reinstatements: Callable[[K], Mapping[str, str]] = lambda _key: {},
        group: Callable[[K], Hashable] = lambda key: key,
        pace: Pace | None = None,
        in_flight: int = _IN_FLIGHT,
    ) -> None:
        self._resolve = resolve
        self._credentials = credentials
        self._report = report
        self._clock = clock
        self._jitter = jitter
        self._current = current
        self._reinstatements = reinstatements
        self._group = group
        self._pace = pace or Pace()
        self._turns = Turns(*(asyncio.Semaphore(bound) for bound in (in_flight, _IN_FLIGHT_SILENT, _PROBES)))
        self._shares: WeakValueDictionary[Hashable, Share] = WeakValueDictionary()
        """Each lives as long as a watch has it."""
        self._watches: dict[K, StewardWatch] = {}
        self._tasks: dict[K, asyncio.Task[None]] = {}

    def __len__(self) -> int:
        return len(self._tasks)

    def __contains__(self, key: K) -> bool:
        return key in self._tasks

    def start(self, key: K) -> None:
        """Watch the steward of ``key``; nothing when it is watched already, a new watch when the old one broke."""
        task = self._tasks.get(key)
        if task is not None and not task.done():
            return
        around = Surroundings(
            where=partial(self._resolve, key),
            credentials=partial(self._credentials, key),
            report=partial(self._report, key),
            current=partial(self._current, key),
            reinstatements=partial(self._reinstatements, key),
            clock=self._clock,
            jitter=self._jitter,
            turns=self._turns,
            share=self._shares.setdefault(self._group(key), Share(_IN_GROUP)),
            name="/".join(key) if isinstance(key, tuple) else str(key),
        )
        watch = self._watches[key] = StewardWatch(around, self._pace)
        self._tasks[key] = asyncio.create_task(watch.run(), name=f"steward of {key}")

    def nudge(self, key: K) -> None:
        """Ask at once, whatever wait is on: call it when the server pod became ready. Nothing when not watched."""
        if (watch := self._watches.get(key)) is not None:
            watch.nudge()

    def stop(self, key: K) -> None:
        """Stop watching; nothing is reported any more. Nothing when not watched."""
        self._watches.pop(key, None)
        if (task := self._tasks.pop(key, None)) is not None:
            task.cancel()

    async def close(self) -> None:
        """Stop all and wait for their end."""
        tasks = list(self._tasks.values())
        for key in list(self._tasks):
            self.stop(key)
        await asyncio.gather(*tasks, return_exceptions=True)
