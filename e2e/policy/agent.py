"""From what is watched to what is enforced, generation by generation."""

from __future__ import annotations

import asyncio
import logging
import math
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Final, Never, Protocol

from .ruleset import Ruleset, ruleset
from .watcher import UNREACHABLE, brief

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence
    from ipaddress import IPv4Network

    from kubernetes.aio.client import V1Namespace, V1NetworkPolicy, V1Pod

    from .nftables import Json
    from .watcher import Watcher

_LOG: Final = logging.getLogger(__name__)
_LEAST: Final = 0.1
"""Seconds from one generation to the next; what happens in between makes one."""


class Enforcer(Protocol):
    """Where rulesets go."""

    def apply(self, document: Json) -> None:
        """Put the document in force."""


class Agent:
    """Keeps a node's ruleset right."""

    def __init__(  # noqa: PLR0913  # what it works with
        self,
        node: Enforcer,
        pods: Watcher[V1Pod],
        namespaces: Watcher[V1Namespace],
        policies: Callable[[], Awaitable[Sequence[V1NetworkPolicy]]],
        *,
        changed: asyncio.Event,
        pod_cidr: IPv4Network,
        seconds: float,
        ready: Callable[[], None],
    ) -> None:
        """``policies`` lists them now; ``seconds`` pass at most until a ruleset is applied anew, whoever changed it.

        ``ready`` is called once the first generation is in force.
        """
        self._node = node
        self._pods = pods
        self._namespaces = namespaces
        self._policies = policies
        self._changed = changed
        self._pod_cidr = pod_cidr
        self._seconds = seconds
        self._ready = ready
        self._enforced: Ruleset | None = None
        self._generation = 0
        self._applied_at = -math.inf

    def close(self) -> None:
        """Let no pod begin a connection until it is known which there are."""
        self._node.apply(ruleset((), (), (), self._pod_cidr).document)

    async def run(self) -> Never:
        """Follow what changes, for ever. Raises NftError or ValueError; what was in force then stays."""
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(self._seconds):
                    await self._changed.wait()
            self._changed.clear()
            if self._pods.listed and self._namespaces.listed:
                await self._turn()
            await asyncio.sleep(_LEAST)

    async def _turn(self) -> None:
        try:
            wanted = await self._wanted()
        except UNREACHABLE as error:
            _LOG.warning("policies cannot be listed, the ruleset stays as it is: %s", brief(error))
            self._changed.set()
            return
        if wanted != self._enforced:
            self._apply(wanted)
            self._enforced = wanted
            self._generation += 1
            _LOG.info("generation %d: %s", self._generation, wanted)
            for each in wanted.refused:
                _LOG.warning("allows nothing, since only IPv4 is forwarded: %s", each)
            if self._generation == 1:
                self._ready()
        elif time.monotonic() - self._applied_at >= self._seconds:
            self._apply(wanted)

    async def _wanted(self) -> Ruleset:
        """Policies are listed after the pods were looked at, so that none is missing that was there before a pod."""
        pods, namespaces = self._pods.objects(), self._namespaces.objects()
        return ruleset(pods, namespaces, await self._policies(), self._pod_cidr)

    def _apply(self, wanted: Ruleset) -> None:
        self._node.apply(wanted.document)
        self._applied_at = time.monotonic()
