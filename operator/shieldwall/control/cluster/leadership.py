"""Who acts: the official client's leader election on a Lease, with every failure of the network a lost try."""

from __future__ import annotations

import asyncio
import json
import logging
import math
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from kubernetes.aio.client.exceptions import ApiException
from kubernetes.aio.leaderelection.electionconfig import Config
from kubernetes.aio.leaderelection.leaderelection import LeaderElection
from kubernetes.aio.leaderelection.leaderelectionrecord import LeaderElectionRecord
from kubernetes.aio.leaderelection.resourcelock.baselock import BaseLock

from shieldwall.control.cluster.errors import ApiError
from shieldwall.control.cluster.kinds import LEASE
from shieldwall.control.cluster.live import MANAGER

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from shieldwall.control.cluster.api import Api, Json

_LOG: Final = logging.getLogger(__name__)
_FAILURES: Final = (TimeoutError, OSError)


@dataclass(frozen=True, slots=True)
class Terms:
    """How long a leader leads without being heard of, in whole seconds."""

    lease: int = 15
    """Others wait this long after the last renewal that they saw."""
    deadline: int = 10
    """A leader that could not renew for so long stops acting; less than ``lease``."""
    retry: int = 2


@dataclass(frozen=True, slots=True)
class Seat:
    """The Lease."""

    namespace: str
    name: str
    identity: str
    """Of this replica, unlike any other's."""


class _Lock(BaseLock):
    """A Lease by our own requests: the library's lock cannot create one (kubernetes 37), and waits for ever.

    Gives up on each request in time: an answer that never comes must not outlast the lease. Every update is a
    compare-and-swap on the version that was read.
    """

    def __init__(self, api: Api, seat: Seat, patience: float) -> None:
        super().__init__(seat.name, seat.namespace, seat.identity)
        self._api = api
        self._patience = patience
        self._lease: Json = {}
        self._renewed = -math.inf

    async def expired(self, seconds: float) -> None:
        """Return once the last renewal that worked was sent ``seconds`` ago.

        The library counts from its first failure, in wall time, and a try of its may outlast its deadline: others may
        lead before it gives up.
        """
        now = asyncio.get_running_loop().time
        while (left := self._renewed + seconds - now()) > 0:  # noqa: ASYNC110  # a time that moves on
            await asyncio.sleep(left)
        _LOG.warning("the lease was not renewed for %g s", seconds)

    async def get(self, name: str, namespace: str) -> Any:  # noqa: ANN401  # as the library has it
        try:
            async with asyncio.timeout(self._patience):
                self._lease = await self._api.get(LEASE, namespace, name)
        except ApiError as error:
            told = ApiException(status=error.status, reason=error.message)
            told.body = json.dumps({"code": error.status})
            return False, told
        except _FAILURES as error:
            return False, ApiException(status=0, reason=f"unreachable: {error or type(error).__name__}")
        return True, _record(self._lease.get("spec") or {})

    async def create(self, name: str, namespace: str, election_record: LeaderElectionRecord) -> bool:
        metadata = {"name": name, "namespace": namespace}
        body = {"apiVersion": LEASE.api_version, "kind": LEASE.kind, "metadata": metadata}
        body["spec"] = _spec({}, election_record)
        return await self._tried(self._api.create(LEASE, body, MANAGER))

    async def update(self, name: str, namespace: str, updated_record: LeaderElectionRecord) -> bool:  # noqa: ARG002
        spec = _spec(self._lease.get("spec") or {}, updated_record)
        return await self._tried(self._api.replace(LEASE, {**self._lease, "spec": spec}, MANAGER))

    async def _tried(self, attempt: Awaitable[Json]) -> bool:
        sent = asyncio.get_running_loop().time()
        try:
            async with asyncio.timeout(self._patience):
                self._lease = await attempt
        except ApiError as error:
            # A conflict is another replica that was faster.
            _LOG.log(logging.DEBUG if error.conflict else logging.WARNING, "the lease was not written: %s", error)
            return False
        except _FAILURES as error:
            _LOG.warning("the lease was not written: %s", error or type(error).__name__)
            return False
        self._renewed = sent
        return True


def _spec(before: Json, record: LeaderElectionRecord) -> Json:
    """The spec of a Lease; transitions are counted as client-go does."""
    changed = before.get("holderIdentity") != record.holder_identity
    return {
        "holderIdentity": record.holder_identity,
        "leaseDurationSeconds": int(float(record.lease_duration or 0)),
        "acquireTime": _micro_time(record.acquire_time),
        "renewTime": _micro_time(record.renew_time),
        "leaseTransitions": before.get("leaseTransitions", 0) + (1 if changed and before else 0),
    }


def _record(spec: Json) -> LeaderElectionRecord:
    return LeaderElectionRecord(
        spec.get("holderIdentity") or None,
        str(spec["leaseDurationSeconds"]) if "leaseDurationSeconds" in spec else None,
        _plain_time(spec.get("acquireTime")),
        _plain_time(spec.get("renewTime")),
    )


def _micro_time(text: str | None) -> str:
    """The library writes naive local time; a MicroTime is UTC."""
    time = datetime.fromisoformat(text).astimezone(UTC) if text else datetime.now(UTC)
    return time.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _plain_time(text: str | None) -> str | None:
    return str(datetime.fromisoformat(text).astimezone().replace(tzinfo=None)) if text else None


async def lead(api: Api, seat: Seat, terms: Terms, work: Callable[[], Awaitable[None]]) -> None:
    """Wait for the lease, then run ``work`` while it is held. Returns when it is lost or ``work`` is done.

    ``work`` is cancelled, and has ended, before this returns; what it raised is raised.
    """
    leading = asyncio.Event()

    async def started() -> None:
        _LOG.info("%s leads", seat.identity)
        leading.set()

    lock = _Lock(api, seat, float(terms.retry) + 1.0)
    config = Config(
        lock,
        lease_duration=terms.lease,
        renew_deadline=terms.deadline,
        retry_period=terms.retry,
        onstarted_leading=started,
        onstopped_leading=_stopped,
    )
    election = asyncio.create_task(LeaderElection(config).run())
    tasks = [election, asyncio.create_task(_wait(leading))]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        if not election.done():
            tasks += [asyncio.create_task(_as_coroutine(work)), asyncio.create_task(lock.expired(terms.deadline))]
            await asyncio.wait({election, *tasks[2:]}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
    for task in tasks:
        if not task.cancelled():
            task.result()


async def _stopped() -> None:
    _LOG.warning("the lease is lost")


async def _wait(event: asyncio.Event) -> None:
    await event.wait()


async def _as_coroutine(work: Callable[[], Awaitable[None]]) -> None:
    await work()


async def resign(api: Api, seat: Seat) -> None:
    """Give the lease back, so that another replica need not wait for its end; nothing happens unless it is ours."""
    try:
        lease = await api.get(LEASE, seat.namespace, seat.name)
        if lease["spec"].get("holderIdentity") == seat.identity:
            await api.replace(LEASE, {**lease, "spec": {**lease["spec"], "holderIdentity": ""}}, MANAGER)
    except (ApiError, *_FAILURES) as error:
        _LOG.warning("the lease was not given back: %s", error or type(error).__name__)
