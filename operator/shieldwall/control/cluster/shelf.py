"""Objects of one of our own kinds as they were last seen. Newer versions win, and what has gone stays gone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from shieldwall.control.cluster.api import Json

Key = tuple[str, str]
"""Namespace and name of a training, or of a budget."""


class Shelf:
    """Bodies by key, without their managedFields."""

    def __init__(self) -> None:
        self._bodies: dict[Key, Json] = {}
        self._gone: dict[Key, int] = {}
        """Version at which an object was seen to be deleted, so that a late event does not bring it back."""
        self._listed = -1
        """The version of the last list. What it did not hold, and is no newer, has gone."""

    def get(self, key: Key) -> Json | None:
        """The object as it was last seen."""
        return self._bodies.get(key)

    def keys(self) -> frozenset[Key]:
        """All of them."""
        return frozenset(self._bodies)

    def of(self, namespace: str) -> list[Json]:
        """Those of a namespace."""
        return [body for (where, _), body in self._bodies.items() if where == namespace]

    def put(self, body: Mapping[str, Any]) -> Key:
        """Take over an object."""
        return self._put(body, self._listed)

    def remove(self, body: Mapping[str, Any]) -> Key:
        """Take over that an object was deleted."""
        key, version = _key(body), version_of(body)
        self._gone[key] = max(version, self._gone.get(key, -1))
        known = self._bodies.get(key)
        if known is not None and version_of(known) <= version:
            del self._bodies[key]
        return key

    def replace(self, bodies: Iterable[Mapping[str, Any]], version: int) -> set[Key]:
        """Take over a whole list, as it was at ``version``: what it does not hold is gone, unless it is newer.

        Returns what is gone.
        """
        listed = {self._put(body, -1) for body in bodies}
        self._listed = version
        gone = {key for key, body in self._bodies.items() if key not in listed and version_of(body) <= version}
        for key in gone:
            del self._bodies[key]
        return gone

    def sweep(self) -> None:
        """Forget the deletions that the last list stands for."""
        self._gone = {key: version for key, version in self._gone.items() if version > self._listed}

    def _put(self, body: Mapping[str, Any], listed: int) -> Key:
        key, version = _key(body), version_of(body)
        known = self._bodies.get(key)
        newest = version_of(known) if known is not None else listed
        if version > max(newest, self._gone.get(key, -1)):
            metadata = {name: value for name, value in body["metadata"].items() if name != "managedFields"}
            self._bodies[key] = {**body, "metadata": metadata}
        return key


def _key(body: Mapping[str, Any]) -> Key:
    return body["metadata"]["namespace"], body["metadata"]["name"]


def version_of(body: Mapping[str, Any]) -> int:
    """Its resourceVersion; of one API server's objects the greater one is the newer."""
    return int(body["metadata"]["resourceVersion"])
