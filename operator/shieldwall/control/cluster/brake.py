"""Mends an object less often when somebody changes it back, or deletes it, each time."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from shieldwall.control.cluster.errors import ContestedObjectError
from shieldwall.control.cluster.live import MANAGER

if TYPE_CHECKING:
    from collections.abc import Callable
    from collections.abc import Set as AbstractSet
    from datetime import datetime

    from shieldwall.control.cluster.live import Live
    from shieldwall.control.cluster.store import Key, ObjectName

MOST: Final = 10
"""Mends of one object within a minute, and as often it is made anew."""
_MINUTE: Final = timedelta(minutes=1)
_PEACE: Final = timedelta(minutes=2)
"""As it should be for so long after a mend, an object is no longer contested."""


@dataclass(slots=True)
class _Mended:
    times: list[datetime] = field(default_factory=list)
    """Of the mends within the last minute; at least of the last."""
    missing: bool = False
    """Whether it was last found to be gone or spoilt, not changed."""
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
        itself = live.kind.kind, live.name
        known = self._known(key, itself)
        known.managers, known.missing = live.strangers or known.managers, False
        if self._held_back(known):
            return False
        self._count(known)
        return True

    def allows_making(self, key: Key, itself: ObjectName) -> bool:
        """Whether an object that has gone or is spoilt is made anew now; ``made`` counts it."""
        known = self._mended.get(key, {}).get(itself)
        if known is None:
            return True
        known.missing = True
        return not self._held_back(known)

    def made(self, key: Key, itself: ObjectName) -> None:
        """An object was made, or made anew."""
        self._count(self._known(key, itself))

    def calm(self, key: Key, live: Live) -> None:
        """An object is as wanted."""
        known = self._mended.get(key, {}).get((live.kind.kind, live.name))
        if known is not None and self._clock() - known.times[-1] >= (_PEACE if known.contested else _MINUTE):
            del self._mended[key][live.kind.kind, live.name]

    def keep(self, key: Key, wanted: AbstractSet[ObjectName]) -> None:
        """What is no longer wanted is no longer contested."""
        known = self._mended.get(key, {})
        for itself in known.keys() - wanted:
            del known[itself]

    def require_peace(self, key: Key) -> None:
        """Raises ContestedObjectError while an object of the training is contested."""
        contested = {itself: known for itself, known in self._mended.get(key, {}).items() if known.contested}
        for (kind, name), known in sorted(contested.items(), key=lambda item: item[0]):
            raise ContestedObjectError(kind, name, () if known.missing else known.managers)

    def forget(self, key: Key) -> None:
        """A training has gone."""
        self._mended.pop(key, None)

    def _known(self, key: Key, itself: ObjectName) -> _Mended:
        return self._mended.setdefault(key, {}).setdefault(itself, _Mended())

    def _recent(self, known: _Mended) -> list[datetime]:
        now = self._clock()
        return [when for when in known.times if now - when < _MINUTE]

    def _held_back(self, known: _Mended) -> bool:
        recent = self._recent(known)
        known.contested = known.contested or len(recent) >= MOST
        return known.contested and bool(recent)

    def _count(self, known: _Mended) -> None:
        known.times = [*self._recent(known), self._clock()]
