"""Whole lists of what there is: the barrier before the first pass, and the repair of what watches have lost."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any, Final

from shieldwall.control.cluster.errors import ApiError
from shieldwall.control.cluster.kinds import BUDGET, NETWORK_POLICY, OURS, OWNED, TRAINING
from shieldwall.control.cluster.live import trimmed
from shieldwall.control.cluster.policies import policies_by_namespace
from shieldwall.control.plan.labels import TRAINING_LABEL

if TYPE_CHECKING:
    from collections.abc import Sequence

    from shieldwall.control.cluster.api import Api, Json
    from shieldwall.control.cluster.kinds import Kind
    from shieldwall.control.cluster.store import Key, Store

_LOG: Final = logging.getLogger(__name__)
_RESTARTS: Final = 5
_OTHERS: Final = 3.0
"""Watches mostly break together."""


class Lister:
    """Lists all that is watched, in the namespaces that are watched (none: all)."""

    def __init__(self, api: Api, store: Store, namespaces: Sequence[str]) -> None:
        self._api = api
        self._store = store
        self._namespaces: Sequence[str | None] = namespaces or (None,)

    async def due(self, seconds: float) -> None:
        """Return when a list is due: after ``seconds``, or soon after a watch began anew."""
        try:
            async with asyncio.timeout(seconds):
                await self._store.doubted.wait()
        except TimeoutError:
            return
        await asyncio.sleep(_OTHERS)

    async def everything(self) -> frozenset[Key]:
        """Bring the store up to date. Owned objects come first: a training is never seen without what it owns.

        Returns all trainings, and those that turned out to be gone.
        Raises ApiError or ApiUnreachableError; the store then holds what it held before, or newer.
        """
        self._store.doubted.clear()
        for kind in OWNED:
            # Those of others add to ours, so that these are read too.
            bodies, version = await self._all(kind, TRAINING_LABEL if kind is not NETWORK_POLICY else None)
            if kind is NETWORK_POLICY:
                self._store.policies = policies_by_namespace(bodies)
                bodies = [body for body in bodies if TRAINING_LABEL in (body["metadata"].get("labels") or {})]
            changed = self._store.replace(kind, bodies, version)
            if changed:
                _LOG.debug("%s: the list brought news for %d trainings", kind.plural, len(changed))
        # Before the trainings: what has a share of one then, and is not listed after it, has gone.
        await self._budgets()
        bodies, version = await self._all(TRAINING, None)
        gone = self._store.replace_trainings(bodies, version)
        self._store.sweep()
        return self._store.keys() | gone

    async def _budgets(self) -> None:
        try:
            self._store.budgets.replace(*await self._all(BUDGET, None))
        except ApiError as error:
            if not error.missing:
                raise
            # The cluster has the definitions of an earlier release. Trainings go on; readiness tells what is missing.

    async def _all(self, kind: Kind, selector: str | None) -> tuple[list[Json], int]:
        bodies: list[Json] = []
        versions = []
        for namespace in self._namespaces:
            found, version = await self._one(kind, namespace, selector)
            bodies += found
            versions.append(version)
        return bodies, min(versions)

    async def _one(self, kind: Kind, namespace: str | None, selector: str | None) -> tuple[list[Json], int]:
        for _ in range(_RESTARTS):
            bodies: list[Json] = []
            version = 0
            try:
                async for page in self._api.list_pages(kind, namespace, selector):
                    bodies += [_typed(kind, item) for item in page["items"]]
                    version = version or int(page["metadata"]["resourceVersion"])
            except ApiError as error:
                if not error.expired:
                    raise
            else:
                return bodies, version
        raise ApiError(410, "Expired", f"the list of {kind.plural} expired {_RESTARTS} times before it was complete")


def _typed(kind: Kind, item: dict[str, Any]) -> Json:
    """Items of a list come without apiVersion and kind. What is of no use goes before the next page comes."""
    typed = {"apiVersion": kind.api_version, "kind": kind.kind, **item}
    return typed if kind in {*OURS, NETWORK_POLICY} else trimmed(kind, typed)
