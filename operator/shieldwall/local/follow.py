"""Follows a training through its steward, and says what happened since the last look."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from shieldwall.contract.records import Outcome, Phase
from shieldwall.control.steward.api import StewardUnreachableError, steward_api
from shieldwall.control.steward.credentials import Credentials, tls_context
from shieldwall.control.steward.news import news_of
from shieldwall.local import events

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from datetime import datetime
    from pathlib import Path

    from shieldwall.contract.records import StewardStatus
    from shieldwall.control.steward.api import StewardApi, Whereabouts
    from shieldwall.local.cluster.pods import Pod
    from shieldwall.local.desk import Desk
    from shieldwall.local.notebook import Notebook

_POLL_SECONDS: Final = 0.5
_POLLS_PER_SESSION: Final = 1200
"""Then the connection is made anew, with the leaf of that time."""


class Follower:
    """Keeps the notebook up to date and tells the listener; ``ring`` is called after each look.

    ``reinstate``: which banned clients the training's file wants back, nonces by name.
    """

    def __init__(
        self,
        notebook: Notebook,
        listen: Callable[[events.Event], None],
        ring: Callable[[], None],
        reinstate: Mapping[str, str] | None = None,
    ) -> None:
        self._reinstate = reinstate or {}
        self._notebook = notebook
        self._listen = listen
        self._ring = ring
        self._exits: dict[tuple[str, str], int] = {}

    async def follow(self, where: Whereabouts, desk: Desk, now: Callable[[], datetime]) -> None:
        """Ask the steward twice a second, until cancelled. Raises WrongServerError."""
        while True:
            async with steward_api(where, tls_context(credentials_in(desk.trust, desk.operator_leaf(now())))) as api:
                for _ in range(_POLLS_PER_SESSION):
                    await self.look(api)
                    await asyncio.sleep(_POLL_SECONDS)

    async def look(self, api: StewardApi) -> None:
        """One look: new records first, so that nobody sees a status before its rounds."""
        try:
            status = await api.status()
            await api.fulfil(self._reinstate, status)
            await self._fetch_records(api, status)
        except StewardUnreachableError:
            return
        before, self._notebook.status = self._notebook.status, status
        self._mark(status)
        if before is None or news_of(before) != news_of(status):
            self._listen(events.Progress(status=status))
        self._ring()

    def report_exits(self, pods: Iterable[Pod]) -> None:
        """Tell of containers that ended since the last call. The end of an init container is none."""
        for pod in pods:
            for state in pod.containers:
                seen = self._exits.get((pod.name, state.name), 0)
                if state.restarts > seen:
                    self._exits[pod.name, state.name] = state.restarts
                    log = f"logs/{pod.name}/{state.name}.log"
                    self._listen(
                        events.Exited(
                            pod=pod.name,
                            container=state.name,
                            code=state.exits[-1],
                            restarts=state.restarts,
                            log=log,
                        )
                    )

    async def _fetch_records(self, api: StewardApi, status: StewardStatus) -> None:
        records = self._notebook.records
        while status.records > len(records):
            fresh = await api.rounds(len(records))
            if not fresh:
                return
            for record in fresh:
                records.append(record)
                if record.outcome is Outcome.RELEASED:
                    self._notebook.mark("first_round")
                self._listen(events.RoundClosed(record=record))

    def _mark(self, status: StewardStatus) -> None:
        if any(client.online for client in status.clients):
            self._notebook.mark("first_client_online")


def credentials_in(trust: Path, leaf: Path) -> Credentials:
    """What lies in the directories of the trust and of this program's own leaf."""
    parts = (leaf / "tls.crt", leaf / "tls.key", trust / "ca.crt", trust / "ca.crl")
    return Credentials(*(part.read_bytes() for part in parts))


def is_over(status: StewardStatus | None) -> bool:
    """Whether the training has ended, well or not."""
    return status is not None and status.phase in {Phase.COMPLETED, Phase.FAILED}


def is_registered(status: StewardStatus | None) -> bool:
    """Whether every client's node is registered, so that its pod may start."""
    return status is not None and all(client.node_id is not None for client in status.clients)


def is_online(status: StewardStatus | None, client: str) -> bool:
    """Whether the client's node has spoken lately."""
    return status is not None and any(each.name == client and each.online for each in status.clients)


def progress_of(status: StewardStatus | None) -> tuple[object, ...]:
    """What changes as long as a training gets on."""
    if status is None:
        return ()
    online = sum(client.online for client in status.clients)
    return (status.phase, status.round, status.records, status.runs_started, online)
