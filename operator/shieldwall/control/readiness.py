"""Whether a replica can work: its watches are open, the API server answers it, and the Lease is not kept from it."""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from shieldwall.control.cluster.errors import ApiError, ApiUnreachableError
from shieldwall.control.cluster.kinds import LEASE, OURS, OWNED, TRAINING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from shieldwall.control.cluster.api import Api, Request
    from shieldwall.control.cluster.kinds import Kind

_LOG: Final = logging.getLogger(__name__)
PATIENCE: Final = 60.0
"""Seconds for which the API server may be silent.

Longer than its restart, or another's taking over behind a load balancer, takes, so that these turn no replica unready;
shorter than the 2 min after which ShieldwallNoLeader tells that nobody leads. A steward may be silent for as long.
"""
_LOOKS: Final = 12
"""How often one looks within that time."""
_NAMED: Final = 3
_REFUSED: Final = frozenset({str(HTTPStatus.UNAUTHORIZED.value), str(HTTPStatus.FORBIDDEN.value)})
_MISSING_KIND: Final = "not found: is its CustomResourceDefinition installed?"


@dataclass(slots=True)
class _Watch:
    """One watch: of a kind, in a namespace or in all."""

    kind: Kind
    namespace: str | None
    opened: bool = False
    """Whether it was once. It is only asked for after a list of everything, so that the replica then has that too."""
    trouble: str | None = None
    """Code of its last answer, when that was a refusal or none."""
    since: float = 0.0
    """When it began to be refused."""

    def __str__(self) -> str:
        return f"watch of {self.kind.plural}" + (f" in {self.namespace}" if self.namespace is not None else "")


@dataclass(slots=True)
class _Seat:
    """One verb on the Lease. A replica that is refused it never leads."""

    granted: bool = False
    """Whether it was ever answered otherwise."""
    code: str | None = None
    """Of its last answer, when that was a refusal."""
    since: float = 0.0
    """When it began to be refused."""
    last: float = 0.0
    """When it was refused last: while another replica leads, nobody tries to write."""


class Readiness:
    """Hears of every request to the API server, and says what a replica lacks.

    Args:
        namespaces: those that are watched; none: all.
        clock: seconds that only grow.
        patience: seconds for which the API server may be silent, or refuse a watch that it had granted.
    """

    def __init__(self, namespaces: Sequence[str], clock: Callable[[], float], patience: float = PATIENCE) -> None:
        self._clock = clock
        self.patience = patience
        self._answered: float | None = None
        self._watches = {
            (kind.kind, namespace): _Watch(kind, namespace)
            for kind in (*OURS, *OWNED)
            for namespace in (namespaces or (None,))
        }
        self._seat: defaultdict[str, _Seat] = defaultdict(_Seat)

    def heard(self, request: Request) -> None:
        """Take over what became of a request, whoever made it."""
        now = self._clock()
        if request.answered:
            self._answered = now
        if request.verb == "discover" and not request.granted:
            for watch in self._watches.values():
                if watch.kind.kind == request.kind and not watch.opened:
                    watch.trouble = request.code
        if request.kind == LEASE.kind and request.answered:
            self._heard_of_lease(self._seat[request.verb], request.code, now)

    def _heard_of_lease(self, seat: _Seat, code: str, now: float) -> None:
        if code not in _REFUSED:
            seat.granted, seat.code = True, None
            return
        if seat.code is None or now - seat.last > self.patience:
            seat.since = now
        seat.code, seat.last = code, now

    def heard_of_watch(self, request: Request) -> None:
        """Take over what became of a request of whoever keeps the watches open, of no other's: kopf's.

        What our own lists meet says nothing of a watch, and only a watch that is opened anew would take it back.
        """
        self.heard(request)
        now = self._clock()
        known = self._watches.get((request.kind, request.namespace))
        if known is None or request.verb not in {"list", "watch"}:
            return
        if not request.granted:
            known.since = now if known.trouble is None else known.since
            known.trouble = request.code
        elif request.verb == "watch":
            known.opened, known.trouble = True, None

    @property
    def silent(self) -> float:
        """Seconds since the API server answered; infinite before it did."""
        return self._clock() - self._answered if self._answered is not None else float("inf")

    def missing(self) -> tuple[str, ...]:
        """What stands in the way, each in a few words; nothing when the replica is ready."""
        if self._answered is None:
            return ("API server has not answered yet",)
        if self.silent > self.patience:
            return (f"API server silent for {self.silent:.0f} s",)
        now = self._clock()
        told = []
        for watch in self._watches.values():
            if not watch.opened:
                told.append(f"{watch}: {_word(watch.trouble)}")
            elif watch.trouble is not None and now - watch.since > self.patience:
                told.append(f"{watch}: {_word(watch.trouble)} for {now - watch.since:.0f} s")
        for verb, seat in self._seat.items():
            held, age = now - seat.since, now - seat.last
            if seat.code is not None and age <= self.patience and (not seat.granted or held > self.patience):
                told.append(f"{verb} of the Lease: {_word(seat.code)}" + (f" for {held:.0f} s" if seat.granted else ""))
        more = len(told) - _NAMED
        return (*told[:_NAMED], f"and {more} more") if more > 0 else tuple(told)


def _word(code: str | None) -> str:
    """What an answer of this code means."""
    if code is None:
        return "not begun"
    known = {str(status.value): status.phrase.lower() for status in HTTPStatus}
    return _MISSING_KIND if code == str(HTTPStatus.NOT_FOUND.value) else known.get(code, code)


async def attend(readiness: Readiness, api: Api) -> None:
    """Ask the API server when nobody else does, and log what a replica that is not ready lacks. Never ends."""
    ready: bool | None = None
    while True:
        await asyncio.sleep(readiness.patience / _LOOKS)
        if readiness.silent > readiness.patience / 4:  # without an election, hours may pass between two requests
            try:
                await api.serves(TRAINING)
            except (ApiError, ApiUnreachableError) as error:
                _LOG.debug("the API server was asked whether it is there: %s", error)
        missing = readiness.missing()
        if missing and ready is not False:
            _LOG.warning("not ready: %s", "; ".join(missing))
        elif not missing and ready is not True:
            _LOG.info("ready: every watch is open, and the API server answers")
        ready = not missing


async def is_served(api: Api, kind: Kind, pause: float = 2.0) -> bool:
    """Whether there is such a kind, as soon as the API server says so."""
    told = ""
    while True:
        try:
            return await api.serves(kind)
        except (ApiError, ApiUnreachableError) as error:
            if str(error) != told:
                _LOG.warning("waiting for the API server: %s", error)
            told = str(error)
        await asyncio.sleep(pause)


async def until_served(api: Api, kind: Kind, pause: float = 2.0) -> None:
    """Return once there is the kind to be watched: kopf looks only once whether there is."""
    told = False
    while not await is_served(api, kind, pause):
        if not told:
            _LOG.warning("there is no kind %s of %s; install its CustomResourceDefinition", kind.kind, kind.api_version)
        told = True
        await asyncio.sleep(pause)
