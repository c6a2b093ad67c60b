"""What of a training's wall is not as it has to be, and could not be set right: then the training is not ready."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Final
from weakref import WeakKeyDictionary

from shieldwall.control.cluster.kinds import CONFIG_MAP, NETWORK_POLICY
from shieldwall.control.status.sight import Trouble
from shieldwall.control.status.text import some

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from shieldwall.control.cluster.errors import ApiError
    from shieldwall.control.cluster.live import Live
    from shieldwall.control.cluster.store import Key, ObjectName

WALL: Final = frozenset({NETWORK_POLICY.kind, CONFIG_MAP.kind})
"""Kinds that say who is trusted, who may connect, and by which rules."""
REASON: Final = "ObjectNotRepaired"
_REFUSALS: Final = frozenset({HTTPStatus.FORBIDDEN, HTTPStatus.UNPROCESSABLE_ENTITY})
_PATIENCE: Final = 3
"""Passes in which the API server, or a webhook, may fail before that is told: most of it passes."""
_LONGEST: Final = 300


class Unmended:
    """Remembers what could not be written, or was written and is different all the same."""

    def __init__(self) -> None:
        self._failed: dict[Key, dict[ObjectName, tuple[int, str]]] = {}
        """How often in a row, and why at last."""
        self._different: WeakKeyDictionary[Live, str] = WeakKeyDictionary()
        """Sights of what somebody changes on the way in; go when the store drops the sight."""

    def failed(self, key: Key, itself: ObjectName, error: ApiError) -> None:
        """An object that is not as wanted could not be written. A conflict is no failure: look again."""
        if itself[0] not in WALL or error.conflict or error.terminating:
            return
        known = self._failed.setdefault(key, {})
        times = _PATIENCE if error.status in _REFUSALS else known.get(itself, (0, ""))[0] + 1
        known[itself] = times, str(error)[:_LONGEST]

    def done(self, key: Key, live: Live, left: Sequence[str] = ()) -> None:
        """An object is as wanted, but for the fields that are ``left``."""
        self._failed.get(key, {}).pop((live.kind.kind, live.name), None)
        if left and live.kind.kind in WALL:
            self._different[live] = f"something in the cluster changes {some(left)} on the way in"

    def keep(self, key: Key, wanted: Iterable[ObjectName]) -> None:
        """Forget what is no longer wanted; everything, where nothing is."""
        kept = {itself: why for itself, why in self._failed.pop(key, {}).items() if itself in set(wanted)}
        if kept:
            self._failed[key] = kept

    def trouble(self, key: Key, owned: Iterable[Live]) -> Trouble | None:
        """What is told of a training; None when all of its wall stands."""
        found = {itself: why for itself, (times, why) in self._failed.get(key, {}).items() if times >= _PATIENCE}
        found |= {(live.kind.kind, live.name): self._different[live] for live in owned if live in self._different}
        if not found:
            return None
        names = [" ".join(itself) for itself in sorted(found)]
        is_not = f"{names[0]} is not as it has" if len(names) == 1 else f"{some(names)} are not as they have"
        return Trouble(REASON, f"{is_not} to be and could not be set right. {names[0]}: {found[min(found)]}")
