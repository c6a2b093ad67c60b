"""Watches one training's steward, for as long as it is told to."""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Final, NamedTuple

from shieldwall.contract.records import Outcome, Phase
from shieldwall.control.steward import probes
from shieldwall.control.steward.api import AnswerTooLargeError, StewardUnreachableError, WrongServerError, steward_api
from shieldwall.control.steward.credentials import tls_context, trusting
from shieldwall.control.steward.news import news_of
from shieldwall.control.steward.sight import Probe, StewardSight
from shieldwall.pki.pem import certificates_from_pem
from shieldwall.pki.renewal import renewal_time

if TYPE_CHECKING:
    import ssl
    from collections.abc import Awaitable, Callable, Mapping
    from datetime import datetime

    from shieldwall.contract.records import RoundRecord, StewardStatus
    from shieldwall.control.steward.api import StewardApi, Whereabouts
    from shieldwall.control.steward.credentials import Credentials

_LOG: Final = logging.getLogger(__name__)
_STEPS: Final = (1, 8, 64, *(500,) * 16)
"""How far back the last released round is looked for, and in which steps; 500 records are the most in one answer."""
_OVER: Final = frozenset({Phase.COMPLETED, Phase.FAILED})
_SHORTEST_SESSION: Final = timedelta(seconds=5)
_LOST: Final = 2
"""So many failures in a row make a steward unreachable: one may be a connection that the proxy was closing."""


@dataclass(frozen=True, slots=True)
class Pace:
    """How often what is done; seconds."""

    active: float = 3.0
    """Between two questions while the training goes on."""
    over: float = 30.0
    """Between two questions when it has ended."""
    session: float = 600.0
    """A connection's credentials are kept, and its probes believed, at most so long."""
    repeat: float = 60.0
    """A sight is reported at least so often, even when nothing is new."""
    first_wait: float = 1.0
    longest_wait: float = 30.0
    """After failures: twice as long each time, within these bounds."""
    spread: float = 0.1
    """Every pause is up to this share longer or shorter."""


@dataclass(frozen=True, slots=True)
class Turns:
    """How many requests may be in flight, over all watches.

    Stewards that do not answer have turns of their own: each holds one until its time is out, and must not make the
    others wait. So have probes: a policy that works lets a connection run into its time-out.
    """

    answering: asyncio.Semaphore
    silent: asyncio.Semaphore
    probing: asyncio.Semaphore


class Share:
    """How many of those turns one group of watches may take: who holds each for as long as it can slows its own."""

    def __init__(self, bound: int) -> None:
        self.asking = asyncio.Semaphore(bound)
        self.probing = asyncio.Semaphore(bound)


class Probed(NamedTuple):
    """What both probes showed, in the order of StewardSight's fields."""

    without_certificate: Probe = Probe.UNKNOWN
    closed_port: Probe = Probe.UNKNOWN


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a watch is given."""

    where: Callable[[], Whereabouts]
    credentials: Callable[[], Awaitable[Credentials]]
    """Asked at least every ``Pace.session``, after each failure, and when the leaf is due to be renewed.

    Raises StewardUnreachableError while none can be had.
    """
    report: Callable[[StewardSight], None]
    current: Callable[[str], bool]
    """Whether this is the serial number of the leaf that the server has to serve by now."""
    reinstatements: Callable[[], Mapping[str, str]]
    """Which clients people want back: nonces by name."""
    clock: Callable[[], datetime]
    jitter: Callable[[], float]
    """A number in [0, 1) for each call."""
    turns: Turns
    share: Share
    name: str
    """For the log."""


class StewardWatch:
    """Asks a steward how it goes, keeps what was seen, and reports what is new."""

    def __init__(self, around: Surroundings, pace: Pace) -> None:
        self._around = around
        self._pace = pace
        self._credentials: Credentials | None = None
        self._probed = Probed()
        self._sight: StewardSight | None = None
        self._reported: StewardSight | None = None
        self._records = 0
        """How many were there when the last released one was looked for."""
        self._failures = 0
        self._wake = asyncio.Event()

    def nudge(self) -> None:
        """Ask now, as something has happened: it may be there again."""
        self._failures = min(self._failures, _LOST)
        self._wake.set()

    async def run(self) -> None:
        """Watch until cancelled."""
        while True:
            try:
                await self._session()
            except Exception as error:  # noqa: BLE001  # a watch that ends would never say so
                await self._failed(error)

    async def _session(self) -> None:
        """One connection's life; raises what ends it early."""
        where, credentials = self._around.where(), await self._newest_credentials()
        ends = self._end_of(credentials)
        context = tls_context(credentials)
        async with steward_api(where, context) as api:
            await self._look(api)
            probing = asyncio.create_task(self._probe(where, trusting(credentials)))
            try:
                believed = False
                while self._around.clock() < ends:
                    await self._pause(self._interval if believed else self._pace.active)
                    if not self._around.current(api.server_serial):
                        return  # a connection goes on to show the certificate that it was opened with
                    if believed or not probing.done():
                        await self._look(api)
                        continue
                    async with steward_api(where, context) as anew:
                        await self._look(anew, probing)
                    believed = True
            finally:
                probing.cancel()

    async def _newest_credentials(self) -> Credentials:
        """New ones; while none can be had, those of before go on to serve."""
        try:
            self._credentials = await self._around.credentials()
        except StewardUnreachableError:
            if self._credentials is None:
                raise
        return self._credentials

    def _end_of(self, credentials: Credentials) -> datetime:
        now = self._around.clock()
        due = renewal_time(certificates_from_pem(credentials.chain)[0])
        return max(now + _SHORTEST_SESSION, min(due, now + timedelta(seconds=self._pace.session)))

    async def _look(self, api: StewardApi, probing: asyncio.Task[Probed] | None = None) -> None:
        """Ask once. Probes that were over before are believed when the steward answers after them too.

        With these over a connection that is opened for it: an old one goes on where new ones come to nothing.
        """
        async with self._around.share.asking, self._turn:
            status = await api.status()
            await api.fulfil(self._around.reinstatements(), status)
            newest, last = await self._last_records(api, status)
        if probing is not None:
            self._probed = probing.result()
        if self._failures >= _LOST:
            _LOG.info("The steward of %s answers again.", self._around.name)
        self._failures = 0
        self._see(StewardSight(self._around.clock(), status, last, api.server_serial, *self._probed, newest))

    async def _last_records(
        self, api: StewardApi, status: StewardStatus
    ) -> tuple[RoundRecord | None, RoundRecord | None]:
        """The last record and the last that released: looked for among new records only, the newest first."""
        known = self._records if self._records <= status.records else 0  # fewer: the server's volume is a new one
        first, newest = status.records, None
        with suppress(AnswerTooLargeError):
            for step in _STEPS:
                if first <= known:
                    break
                first = max(known, first - step)
                records = await api.rounds(first)
                newest = newest or next(reversed(records), None)
                for record in reversed(records):
                    if record.outcome is Outcome.RELEASED:
                        self._records = status.records
                        return newest, record
        self._records = status.records
        before = self._sight if known > 0 else None
        return (newest, None) if before is None else (newest or before.newest, before.last_round)

    async def _probe(self, where: Whereabouts, bare: ssl.SSLContext) -> Probed:
        async with self._around.share.probing, self._around.turns.probing:
            return Probed(await probes.without_certificate(where, bare), await probes.closed_port(where))

    async def _failed(self, error: Exception) -> None:
        self._failures += 1
        if self._failures == _LOST:
            expected = isinstance(error, StewardUnreachableError) and self._sight is None
            unknown = None if isinstance(error, StewardUnreachableError | WrongServerError) else error
            level = logging.INFO if expected else logging.WARNING
            _LOG.log(level, "The steward of %s cannot be asked: %s", self._around.name, error, exc_info=unknown)
        if self._failures >= _LOST and self._sight is not None:
            self._see(replace(self._sight, reachable=False))
        doublings = min(self._failures - 1, 16)
        await self._pause(min(self._pace.first_wait * 2.0**doublings, self._pace.longest_wait))

    def _see(self, sight: StewardSight) -> None:
        self._sight = sight
        if self._reported is None or self._is_news(self._reported, sight):
            self._reported = sight
            self._around.report(sight)

    def _is_news(self, before: StewardSight, sight: StewardSight) -> bool:
        if sight.seen - before.seen >= timedelta(seconds=self._pace.repeat):
            return True
        return _news(before) != _news(sight)

    @property
    def _turn(self) -> asyncio.Semaphore:
        silent = self._sight is None or self._failures > 0
        return self._around.turns.silent if silent else self._around.turns.answering

    @property
    def _interval(self) -> float:
        over = self._sight is not None and self._sight.status.phase in _OVER
        return self._pace.over if over else self._pace.active

    async def _pause(self, seconds: float) -> None:
        spread = self._pace.spread * (2 * self._around.jitter() - 1)
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds * (1 + spread)):
                await self._wake.wait()
        self._wake.clear()


def _news(sight: StewardSight) -> tuple[object, ...]:
    probed = (sight.without_certificate, sight.closed_port)
    return (news_of(sight.status), sight.last_round, sight.newest, sight.server_serial, *probed, sight.reachable)
