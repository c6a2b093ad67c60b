"""Makes the cluster hold the objects of a plan: server-side apply where something differs, and nothing else."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final
from weakref import WeakKeyDictionary

from shieldwall.control.cluster.drift import drift, unasked
from shieldwall.control.cluster.errors import ApiError, ForeignObjectError, LeavingObjectError
from shieldwall.control.cluster.kinds import STATEFUL_SET
from shieldwall.control.cluster.live import MANAGER, Live, live_of
from shieldwall.control.cluster.removal import remove
from shieldwall.control.cluster.unmended import Unmended
from shieldwall.control.cluster.volume_claims import require_own_claims
from shieldwall.control.cluster.wanted import MANIFEST_HASH

if TYPE_CHECKING:
    from collections.abc import Set as AbstractSet

    from shieldwall.control.api.training import Training
    from shieldwall.control.cluster.api import Api, Json
    from shieldwall.control.cluster.brake import Brake
    from shieldwall.control.cluster.kinds import Kind
    from shieldwall.control.cluster.store import Key, ObjectName, Store
    from shieldwall.control.cluster.wanted import Wanted
    from shieldwall.control.status.sight import Trouble

_LOG: Final = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Repair:
    """An object that somebody else had changed or deleted was set right."""

    kind: str
    name: str
    what: str
    """What was wrong, as a sentence without its end: "was deleted", "was changed (spec.replicas)"."""
    frozen: bool = False
    """Whether it was immutable: kubelets do not look again at what they have seen so."""


class Applier:
    """Applies objects of trainings."""

    def __init__(self, api: Api, store: Store, brake: Brake) -> None:
        self._api = api
        self._store = store
        self._brake = brake
        self._checked: WeakKeyDictionary[Live, str] = WeakKeyDictionary()
        """What was wanted of a sight that was found to be so; goes when the store drops the sight."""
        self._made: dict[Key, dict[ObjectName, str]] = {}
        """What this operator has seen in place, by the hash of what was wanted then. Nobody else can change it."""
        self._taken: dict[Key, set[ObjectName]] = {}
        """Names that something has that nobody had seen: there, look first."""
        self._unmended = Unmended()

    def forget(self, key: Key) -> None:
        """A training has gone."""
        self._made.pop(key, None)
        self._taken.pop(key, None)
        self._unmended.keep(key, ())

    def unmended(self, key: Key) -> Trouble | None:
        """What of the training's wall could not be set right; None when it all stands."""
        return self._unmended.trouble(key, self._store.owned(key).values())

    def keep(self, key: Key, wanted: AbstractSet[ObjectName]) -> None:
        """Forget what is no longer wanted, though it had gone already and is not pruned."""
        made = self._made.get(key, {})
        for itself in made.keys() - wanted:
            del made[itself]
        self._taken.get(key, set()).intersection_update(wanted)
        self._unmended.keep(key, wanted)

    async def ensure(self, training: Training, wanted: Wanted) -> Repair | None:
        """Make the object what is wanted; returns what was mended of somebody else's doing.

        Raises ForeignObjectError or LeavingObjectError when the name is somebody else's, ForeignClaimError, ApiError,
        ApiUnreachableError.
        """
        try:
            return await self._ensure(training, wanted)
        except ApiError as error:
            self._unmended.failed((training.namespace, training.name), (wanted.kind.kind, wanted.name), error)
            raise

    async def _ensure(self, training: Training, wanted: Wanted) -> Repair | None:
        kind, name = wanted.kind, wanted.name
        key, itself = (training.namespace, training.name), (kind.kind, name)
        deleted = itself in self._made.setdefault(key, {})
        live = self._store.owned(key).get(itself)
        if live is None and (deleted or kind is STATEFUL_SET or itself in self._taken.get(key, ())):
            live = await self._look(kind, training.namespace, name)
        if live is not None:
            return await self._kept(training, wanted, live)
        if deleted and not self._brake.allows_making(key, itself):
            return None
        desired = wanted.body()
        if kind is STATEFUL_SET:
            await require_own_claims(self._api, training, desired)
        live = await self._created(kind, desired, wanted.digest)
        if live is not None:
            self._taken.setdefault(key, set()).add(itself)
            return await self._kept(training, wanted, live)
        self._made[key][itself] = wanted.digest
        if not deleted:
            return None
        self._brake.made(key, itself)
        return _repair(wanted, training, "was deleted")

    async def _kept(self, training: Training, wanted: Wanted, live: Live) -> Repair | None:
        kind, name, digest = wanted.kind, wanted.name, wanted.digest
        key, itself = (training.namespace, training.name), (kind.kind, name)
        made = self._made[key]
        require_ours(live, training)
        wrong = _wrong(wanted.body(), live) if self._checked.get(live) != digest else []
        if not wrong:
            made[itself] = digest
            self._unmended.done(key, live)
            self._checked[live] = digest
            self._brake.calm(key, live)
            return None
        if not self._brake.allows(key, live):
            return None
        # Of a spec that has changed the hash is another: that is no drift.
        drifted = made.get(itself, live.annotations.get(MANIFEST_HASH)) == digest
        if not drifted:
            _LOG.info("%s %s/%s is not as wanted: %s", kind.kind, live.namespace, name, ", ".join(wrong[:5]))
        await self._mend(live, wanted.body(), digest)
        made[itself] = digest
        what = f"was changed ({', '.join(wrong[:3])})"
        return _repair(wanted, training, what, frozen=live.immutable) if drifted else None

    async def prune(self, live: Live) -> None:
        """Delete an object that is no longer wanted."""
        _LOG.info("%s %s/%s is no longer wanted", live.kind.kind, live.namespace, live.name)
        await self._api.delete(live.kind, live.namespace, live.name, live.uid)
        self._store.forget(live)

    async def _look(self, kind: Kind, namespace: str, name: str) -> Live | None:
        """An object without our label is on no watch of ours: never make one without asking."""
        try:
            return live_of(kind, await self._api.get(kind, namespace, name))
        except ApiError as error:
            if error.missing:
                return None
            raise

    async def _created(self, kind: Kind, desired: Json, digest: str) -> Live | None:
        """Make an object, and never change one; None when it was made, else the one that has its name.

        Raises ApiError: a conflict, when that has gone again.
        """
        try:
            answer = await self._api.apply(kind, _only_new(desired), MANAGER, force=False)
        except ApiError as error:
            namespace, name = desired["metadata"]["namespace"], desired["metadata"]["name"]
            found = await self._look(kind, namespace, name) if error.conflict else None
            if found is None:
                raise
            return found
        self._take(kind, answer, desired, digest)
        return None

    async def _mend(self, live: Live, desired: Json, digest: str) -> None:
        kind = live.kind
        if live.immutable:
            await remove(self._api, self._store, live)
            if await self._created(kind, desired, digest) is not None:
                raise ApiError(409, "Conflict", f"somebody made {kind.kind} {live.name} anew")
            return
        answer = await self._api.apply(kind, _only(live, desired), MANAGER)
        if _wrong(desired, live_of(kind, answer)):
            # What others have added is theirs for server-side apply; in a training's objects nothing is.
            answer = await self._api.replace(kind, _taken_over(desired, answer), MANAGER)
        self._take(kind, answer, desired, digest)

    def _take(self, kind: Kind, answer: Json, desired: Json, digest: str) -> None:
        self._store.put(kind, answer)
        live = live_of(kind, answer)
        known = self._store.owned((live.namespace, live.training or "")).get((kind.kind, live.name))
        if known is not None and known.resource_version == live.resource_version:
            live = known  # put now, or brought by the watch before
        left = _wrong(desired, live)
        if left:
            # The API server has its own mind about it (an admission plugin, say): do not fight it at every pass.
            _LOG.warning("%s %s/%s stays different: %s", kind.kind, live.namespace, live.name, ", ".join(left[:5]))
        self._checked[live] = digest
        self._unmended.done((live.namespace, live.training or ""), live, left)


def _only(live: Live, desired: Json) -> Json:
    """The same, for a server-side apply that is refused (409) where that very object is not there any more."""
    return {**desired, "metadata": {**desired["metadata"], "uid": live.uid}}


def _only_new(desired: Json) -> Json:
    """The same, for a server-side apply that is refused (409) where there is an object of that name.

    An object that is there must have the resourceVersion that is asked for, and none has the one before the first
    write of all; where there is none it is made.
    """
    return {**desired, "metadata": {**desired["metadata"], "resourceVersion": "1"}}


def _repair(wanted: Wanted, training: Training, what: str, *, frozen: bool = False) -> Repair:
    _LOG.warning("%s %s/%s %s, and was set right", wanted.kind.kind, training.namespace, wanted.name, what)
    return Repair(wanted.kind.kind, wanted.name, what, frozen)


def require_ours(live: Live, training: Training) -> None:
    """Raises ForeignObjectError or LeavingObjectError unless ``training`` controls the object."""
    owner = live.owner
    if owner is not None and owner.uid == training.uid:
        return
    if owner is not None and owner.ours and owner.name == training.name:
        raise LeavingObjectError(live.kind.kind, live.name)
    raise ForeignObjectError(live.kind.kind, live.name, str(owner) if owner is not None else None)


def _wrong(desired: Json, live: Live) -> list[str]:
    """Where the object is not as wanted."""
    frozen = ["immutable"] if live.immutable and not desired.get("immutable") else []
    body, written = live.body(), live.written()
    more = {path for fields in written for path in unasked(desired, body, fields)} if written else {"managedFields"}
    strangers = (f"fields of {manager}" for manager in live.strangers)
    return [*frozen, *drift(desired, body), *sorted(more), *strangers]


def _taken_over(desired: Json, live: Json) -> Json:
    """All content as desired; labels and annotations of others stay, and so does their place in metadata."""
    found: dict[str, Any] = live["metadata"]
    wanted: dict[str, Any] = desired["metadata"]
    metadata = {
        **wanted,
        "labels": {**(found.get("labels") or {}), **(wanted.get("labels") or {})},
        "annotations": {**(found.get("annotations") or {}), **(wanted.get("annotations") or {})},
        "uid": found["uid"],
        "resourceVersion": found["resourceVersion"],
        "managedFields": [entry for entry in found.get("managedFields") or () if entry.get("manager") == MANAGER],
    }
    return {**desired, "metadata": metadata}
