"""Writes the status of trainings, and what it can of it to a cluster whose CRD is an older one."""

from __future__ import annotations

import logging
import re
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from shieldwall.control.cluster.errors import ApiError
from shieldwall.control.cluster.kinds import TRAINING
from shieldwall.control.cluster.live import STATUS_MANAGER

if TYPE_CHECKING:
    from shieldwall.control.cluster.api import Api, Json

_LOG: Final = logging.getLogger(__name__)
_UNDECLARED: Final = re.compile(r"\.status((?:\.\w+|\[[^\]\n]*\])+): field not declared in schema")
_ITEM: Final = re.compile(r"\[[^\]]*\]")
_BELIEVED: Final = timedelta(minutes=10)
"""So long fields stay unknown: meanwhile the CRD may have been brought up to date."""
_TRIES: Final = 8
"""The server names unknown fields level by level."""

Path = tuple[str, ...]
"""Names of fields below status; of a list, those of its items."""


class StatusWriter:
    """Applies statuses with server-side apply, which refuses a whole document for one field that a CRD lacks."""

    def __init__(self, api: Api) -> None:
        self._api = api
        self._unknown: frozenset[Path] = frozenset()
        self._until: datetime | None = None

    def writable(self, status: Json, now: datetime) -> Json:
        """``status`` without what the cluster's CRD lacks, as far as that is known."""
        if self._until is not None and now >= self._until:
            self._unknown, self._until = frozenset(), None
        return without(status, self._unknown)

    async def write(self, metadata: Json, status: Json, now: datetime) -> Json:
        """Write ``status`` of the training with this namespace, name and uid; returns the training.

        Raises ApiError, ApiUnreachableError.
        """
        for _ in range(_TRIES - 1):
            try:
                return await self._apply(metadata, self.writable(status, now))
            except ApiError as error:
                unknown = undeclared(error.message)
                if unknown <= self._unknown:
                    raise
                self._learn(unknown, now)
        return await self._apply(metadata, self.writable(status, now))

    def _learn(self, unknown: frozenset[Path], now: datetime) -> None:
        _LOG.warning(
            "The cluster's FederatedTraining CRD is older than this operator: status is written without %s."
            " Apply the CRD of this release.",
            ", ".join(sorted(".".join(path) for path in unknown)),
        )
        self._unknown |= unknown
        self._until = now + _BELIEVED

    async def _apply(self, metadata: Json, status: Json) -> Json:
        document = {
            "apiVersion": TRAINING.api_version, "kind": TRAINING.kind, "metadata": metadata, "status": status,
        }  # fmt: skip
        return await self._api.apply(TRAINING, document, STATUS_MANAGER, subresource="status")


def undeclared(message: str) -> frozenset[Path]:
    """The fields of status that server-side apply's error names (structured-merge-diff, typed/validate.go)."""
    return frozenset(tuple(_ITEM.sub("", path).split(".")[1:]) for path in _UNDECLARED.findall(message))


def without(status: Json, paths: frozenset[Path]) -> Json:
    """A copy without these fields."""
    kept: Json = _without(status, paths)
    return kept


def _without(value: Any, paths: frozenset[Path]) -> Any:  # noqa: ANN401  # any JSON
    if not paths:
        return value
    if isinstance(value, list):
        return [_without(item, paths) for item in value]
    if not isinstance(value, dict):
        return value
    return {
        key: _without(item, frozenset(path[1:] for path in paths if path[0] == key))
        for key, item in value.items()
        if (key,) not in paths
    }
