"""Keeps a copy of Flower's database, while the SuperLink works with it."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Final

from shieldwall.runtime.flower.database import NotCopiedError, copy, version_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from shieldwall.runtime.steward.office import Office

_LOG: Final = logging.getLogger(__name__)
EVERY: Final = 300.0
"""Seconds between two copies of a database that changes."""
AGAIN: Final = 30.0
"""Seconds after a copy that failed."""
_PAUSE: Final = 2.0


class Keeper:
    """Copies the database soon after each start of a run, and every five minutes while it changes.

    Args:
        office: says how many runs were started; told when a copy was made.
        database: Flower's, which the SuperLink may be writing.
        backup: where the copy lies.
        clock: Unix seconds.
    """

    def __init__(self, office: Office, database: Path, backup: Path, clock: Callable[[], float]) -> None:
        self._office = office
        self._database = database
        self._backup = backup
        self._clock = clock
        self._copied: tuple[int, ...] | None = None
        self._runs = len(office.run.runs) if backup.exists() else 0
        self._next = clock() + EVERY
        self._complained = False

    async def run(self) -> None:
        """Keep until cancelled."""
        while True:
            await self.look()
            await asyncio.sleep(_PAUSE)

    async def look(self) -> None:
        """Copy if it is time to. A copy that fails is tried again; it never stops the steward."""
        now, runs, version = self._clock(), len(self._office.run.runs), version_of(self._database)
        if (runs == self._runs and now < self._next) or version is None or version == self._copied:
            return
        self._runs = runs
        try:
            await asyncio.to_thread(copy, self._database, self._backup)
        except NotCopiedError as error:
            self._next = now + AGAIN
            if not self._complained:
                _LOG.warning("%s", error)
            self._complained = True
        else:
            self._next, self._copied, self._complained = now + EVERY, version, False
            self._office.backed_up = now
