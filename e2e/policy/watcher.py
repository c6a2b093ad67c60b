"""All objects of one kind, as the API server last told."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any, Final, Generic, Never, TypeVar

from aiohttp import ClientError
from kubernetes.aio.client import ApiException
from kubernetes.aio.watch import Watch

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

_LOG: Final = logging.getLogger(__name__)
_PAUSE: Final = 1.0
UNREACHABLE: Final = (ApiException, ClientError, OSError, TimeoutError)
"""What a request raises while the API server is away, or tells that a watch cannot go on."""

T = TypeVar("T")


class Watcher(Generic[T]):
    """Lists, then watches; lists again after ``seconds`` and whenever the watch ends."""

    def __init__(self, kind: str, call: Callable[..., Awaitable[Any]], changed: asyncio.Event, seconds: int) -> None:
        """``call``: the client's method that lists the kind. ``changed`` is set when there is news."""
        self._kind = kind
        self._call = call
        self._changed = changed
        self._seconds = seconds
        self._objects: dict[str, T] | None = None

    @property
    def listed(self) -> bool:
        """Whether it is known what there is."""
        return self._objects is not None

    def objects(self) -> tuple[T, ...]:
        """What there is now."""
        return tuple((self._objects or {}).values())

    async def run(self) -> Never:
        """Keep up, for ever."""
        while True:
            try:
                await self._follow(await self._list())
            except UNREACHABLE as error:
                _LOG.warning("the watch of %s broke, it begins anew: %s", self._kind, brief(error))
                await asyncio.sleep(_PAUSE)

    async def _list(self) -> str:
        answer = await self._call(_request_timeout=self._seconds)
        self._objects = {each.metadata.uid: each for each in answer.items}
        self._changed.set()
        return str(answer.metadata.resource_version)

    async def _follow(self, version: str) -> None:
        objects = self._objects if self._objects is not None else {}
        async with Watch() as watch:  # type: ignore[no-untyped-call]
            events = watch.stream(
                self._call, resource_version=version, timeout_seconds=self._seconds, _request_timeout=2 * self._seconds
            )
            async for event in events:
                uid = event["object"].metadata.uid
                if event["type"] == "DELETED":
                    objects.pop(uid, None)
                else:
                    objects[uid] = event["object"]
                self._changed.set()


def brief(error: BaseException) -> str:
    """The error in a few words; the client's own have the whole answer in them."""
    return f"{error.status} {error.reason}" if isinstance(error, ApiException) else f"{type(error).__name__}: {error}"
