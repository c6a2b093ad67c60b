"""Mends an object less often when somebody changes it back each time."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from shieldwall.control.cluster.errors import ContestedObjectError
from shieldwall.control.cluster.live import MANAGER

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from shieldwall.control.cluster.live import Live
    from shieldwall.control.cluster.store import Key, ObjectName

MOST: Final = 10
"""Mends of one object within a minute."""
_MINUTE: Final = timedelta(minutes=1)
_PEACE: Final = timedelta(minutes=2)
"""As it should be for so long after a mend, an object is no longer contested."""


@dataclass(slots=True)
class _Mended:
    times: list[datetime] = field(default_factory=list)
    """Of the mends within the last minute; at least of the last."""
    contested: bool = False
    managers: tuple[str, ...] = (MANAGER,)
    """Ours, when another operator writes under the same name."""


class Brake:
    """Counts the mends of each object."""

    def __init__(self, clock: Callable[[], datetime]) -> None:
        self._clock = clock
        self._mended: dict[Key, dict[ObjectName, _Mended]] = {}

    def allows(self, key: Key, live: Live) -> bool:
        """Whether an object that is not as wanted is mended now; counts it as mended if so."""
        now = self._clock()
        known = self._mended.setdefault(key, {}).setdefault((live.kind.kind, live.name), _Mended())
        known.managers = live.strangers or known.managers
        recent = [when for when in known.times if now - when < _MINUTE]
        known.contested = known.contested or len(recent) >= MOST
        if known.contested and recent:
            return False
        known.times = [*recent, now]
        return True

    def calm(self, key: Key, live: Live) -> None:
        """An object is as wanted."""
        known = self._mended.get(key, {}).get((live.kind.kind, live.name))
        if known is not None and self._clock() - known.times[-1] >= (_PEACE if known.contested else _MINUTE):
            del self._mended[key][live.kind.kind, live.name]

    def require_peace(self, key: Key) -> None:
        """Raises ContestedObjectError while an object of the training is contested."""
        for (kind, name), known in sorted(self._mended.get(key, {}).items()):
            if known.contested:
                raise ContestedObjectError(kind, name, known.managers)

    def forget(self, key: Key) -> None:
        """A training has gone."""
        self._mended.pop(key, None)
