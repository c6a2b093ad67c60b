"""What the cluster was last seen to hold. Watches, lists and our own writes feed it; newer versions win."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from typing import TYPE_CHECKING, Any

from shieldwall.control.cluster.live import live_of
from shieldwall.control.cluster.shelf import Key, Shelf, version_of
from shieldwall.control.plan.labels import TRAINING_LABEL

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from shieldwall.control.cluster.api import Json
    from shieldwall.control.cluster.kinds import Kind
    from shieldwall.control.cluster.live import Live
    from shieldwall.control.status.sight import Policy

__all__ = ["Key", "ObjectName", "Store"]

ObjectName = tuple[str, str]
"""Kind and name of an object, within the namespace of its training."""
_Place = tuple[str, str, str]
"""Kind, namespace and name."""


class Store:
    """Trainings and what they own, and budgets."""

    def __init__(self) -> None:
        self._trainings = Shelf()
        self.budgets = Shelf()
        self._owned: defaultdict[Key, dict[ObjectName, Live]] = defaultdict(dict)
        self._homes: dict[_Place, Key] = {}
        """Where an owned object is held: its label may change."""
        self._gone: dict[_Place, int] = {}
        """Version at which an object was seen to be deleted, so that a late event does not bring it back."""
        self._listed: dict[str, int] = {}
        """By kind: the version of the last list. What it did not hold, and is no newer, has gone."""
        self.policies: Mapping[str, tuple[Policy, ...]] = {}
        """By namespace: every NetworkPolicy that allows something, as of the last list."""
        self.doubted = asyncio.Event()
        """Set when a watch had to begin anew: what ended in between is held on, until the next list."""

    def training(self, key: Key) -> Json | None:
        """The training as it was last seen."""
        return self._trainings.get(key)

    def keys(self) -> frozenset[Key]:
        """All trainings, and those of which something is left."""
        return self._trainings.keys() | frozenset(key for key, owned in self._owned.items() if owned)

    def trainings(self, namespace: str) -> list[Json]:
        """The trainings of a namespace as they were last seen."""
        return self._trainings.of(namespace)

    def owned(self, key: Key) -> Mapping[ObjectName, Live]:
        """The objects that carry the training's label, whoever owns them."""
        return self._owned.get(key, {})

    def put_training(self, body: Mapping[str, Any]) -> Key:
        """Take over a training."""
        return self._trainings.put(body)

    def remove_training(self, body: Mapping[str, Any]) -> Key:
        """Take over that a training was deleted."""
        return self._trainings.remove(body)

    def put(self, kind: Kind, body: Mapping[str, Any]) -> Live | None:
        """Take over an object; None when a newer one is known."""
        return self._put(kind, body, self._listed.get(kind.kind, -1))

    def holder(self, kind: Kind, body: Mapping[str, Any]) -> Key | None:
        """The training under which the object is held so far: not that of its label, once that was changed."""
        return self._homes.get(_place(kind, body))

    def remove(self, kind: Kind, body: Mapping[str, Any]) -> Key | None:
        """Take over that an object was deleted, or lost its label. Returns whose it was."""
        place, version = _place(kind, body), version_of(body)
        self._went(place, version)
        known = self._at(place)
        return self._drop(place) if known is not None and known.resource_version <= version else None

    def forget(self, live: Live) -> None:
        """Drop an object that the operator has deleted itself, or that was found to be gone."""
        place = (live.kind.kind, live.namespace, live.name)
        if place in self._homes:
            self._drop(place)

    def replace_trainings(self, bodies: Iterable[Mapping[str, Any]], version: int) -> set[Key]:
        """Take over a whole list, as it was at ``version``: what it does not hold is gone, unless it is newer.

        Returns the trainings that are gone.
        """
        return self._trainings.replace(bodies, version)

    def replace(self, kind: Kind, bodies: Iterable[Mapping[str, Any]], version: int) -> set[Key]:
        """The same for a kind of owned objects. Returns the trainings for which something changed."""
        changed: set[Key | None] = set()
        listed = set()
        for body in bodies:
            place = _place(kind, body)
            listed.add(place)
            before = self._homes.get(place)
            live = self._put(kind, body, -1)
            if live is not None:
                changed |= {before, self._homes[place]}
        self._listed[kind.kind] = version
        for place in [place for place in self._homes if place[0] == kind.kind and place not in listed]:
            known = self._at(place)
            if known is not None and known.resource_version <= version:
                changed.add(self._drop(place))
        return {key for key in changed if key is not None}

    def sweep(self) -> None:
        """Forget the deletions that the last lists stand for."""
        self._trainings.sweep()
        self.budgets.sweep()
        self._gone = {
            place: version for place, version in self._gone.items() if version > self._listed.get(place[0], -1)
        }
        for key in [key for key, owned in self._owned.items() if not owned]:
            del self._owned[key]

    def _put(self, kind: Kind, body: Mapping[str, Any], listed: int) -> Live | None:
        """``listed``: what is unknown and no newer than this has gone."""
        training = (body["metadata"].get("labels") or {}).get(TRAINING_LABEL)
        if training is None:
            return None
        place = _place(kind, body)
        known = self._at(place)
        newest = known.resource_version if known is not None else listed
        if version_of(body) <= max(newest, self._gone.get(place, -1)):
            return None
        if known is not None:
            self._drop(place)
        live = live_of(kind, body)
        self._homes[place] = key = (live.namespace, training)
        self._owned[key][kind.kind, live.name] = live
        return live

    def _at(self, place: _Place) -> Live | None:
        key = self._homes.get(place)
        return self._owned[key][place[0], place[2]] if key is not None else None

    def _drop(self, place: _Place) -> Key:
        key = self._homes.pop(place)
        del self._owned[key][place[0], place[2]]
        return key

    def _went(self, place: _Place, version: int) -> None:
        self._gone[place] = max(version, self._gone.get(place, -1))


def _place(kind: Kind, body: Mapping[str, Any]) -> _Place:
    return kind.kind, body["metadata"]["namespace"], body["metadata"]["name"]
