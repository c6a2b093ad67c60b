"""Takes back what others did to a training's Secrets: labels that were lost, entries that were put in, a freeze."""

from __future__ import annotations

from typing import TYPE_CHECKING
from weakref import WeakSet

from shieldwall.control.cluster.apply import require_ours
from shieldwall.control.plan.certificates import entries_of
from shieldwall.control.plan.names import Names

if TYPE_CHECKING:
    from shieldwall.control.api.training import Training
    from shieldwall.control.cluster.brake import Brake
    from shieldwall.control.cluster.holds import Holds
    from shieldwall.control.cluster.live import Live
    from shieldwall.control.cluster.vault import Vault


class Tidier:
    """Keeps Secrets to what is ours in them; their keys and certificates are the Filler's."""

    def __init__(self, vault: Vault, brake: Brake) -> None:
        self._vault = vault
        self._brake = brake
        self._tidy: WeakSet[Live] = WeakSet()
        """Sights of Secrets with nothing in them that is not ours; go when the store drops the sight."""

    async def tidy(self, training: Training, holds: Holds) -> frozenset[str]:
        """Take back labels of Secrets, and entries that others put in. Returns the names of those that were changed.

        What holds up one Secret goes to ``holds``. Raises ApiError (a conflict: look again) or ApiUnreachableError.
        """
        changed = set()
        for name, entries in entries_of(training, Names(training.name)).items():
            live = self._vault.owned(training, name)
            if live is None or live.leaving:
                continue
            if live in self._tidy:
                self._brake.calm((training.namespace, training.name), live)
                continue
            with holds.one():
                if await self._tidied(training, live, entries):
                    changed.add(name)
        return frozenset(changed)

    async def _tidied(self, training: Training, live: Live, entries: frozenset[str]) -> bool:
        require_ours(live, training)
        key = training.namespace, training.name
        if live.immutable:
            if not self._brake.allows(key, live):
                return False
            await self._vault.thaw(training, entries, live)
            return True
        change = self._vault.untidy(training, live, entries)
        if change is None:
            self._tidy.add(live)
            self._brake.calm(key, live)
        elif self._brake.allows(key, live):
            await self._vault.merge(live, change)
            return True
        return False
