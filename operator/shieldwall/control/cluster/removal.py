"""Takes away an object of a training that can be set right in no other way."""

from __future__ import annotations

from typing import TYPE_CHECKING

from shieldwall.control.cluster.live import MANAGER

if TYPE_CHECKING:
    from shieldwall.control.cluster.api import Api
    from shieldwall.control.cluster.live import Live
    from shieldwall.control.cluster.store import Store


async def remove(api: Api, store: Store, live: Live) -> None:
    """Delete this very object, though somebody gave it finalizers; nothing happens when it has gone.

    Raises ApiError (a conflict: it is another by now) or ApiUnreachableError.
    """
    if live.body()["metadata"].get("finalizers"):
        # None is ours, and with them it would stay, and so would what is in it.
        free = {"metadata": {"uid": live.uid, "finalizers": None}}
        await api.merge(live.kind, live.namespace, live.name, free, MANAGER)
    await api.delete(live.kind, live.namespace, live.name, live.uid)
    store.forget(live)
