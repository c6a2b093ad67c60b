"""When pods that do not serve a new certificate yet are nudged again: less and less often, as they may be off line."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

_FIRST_WAIT: Final = timedelta(seconds=30)
_LONGEST_WAIT: Final = timedelta(minutes=15)


@dataclass(frozen=True, slots=True)
class _Nudged:
    serial: str
    wait: timedelta
    again: datetime


class Nudges:
    """Remembers, for each Secret of one training, when its pods were named last."""

    def __init__(self) -> None:
        self._nudged: dict[str, _Nudged] = {}

    def due(self, late: Mapping[str, str], now: datetime) -> frozenset[str]:
        """The Secrets of ``late`` whose pods are to be nudged now: at once, after 30 s, 60 s, … 15 min.

        Args:
            late: Secrets that are not served yet, with the serial number that is waited for. A new one begins anew,
                and so does a Secret that was served in between.
            now: the time.
        """
        self._nudged = {name: known for name, known in self._nudged.items() if late.get(name) == known.serial}
        due = frozenset(name for name in late if name not in self._nudged or now >= self._nudged[name].again)
        for name in due:
            known = self._nudged.get(name)
            wait = min(2 * known.wait, _LONGEST_WAIT) if known is not None else _FIRST_WAIT
            self._nudged[name] = _Nudged(late[name], wait, now + wait)
        return due
