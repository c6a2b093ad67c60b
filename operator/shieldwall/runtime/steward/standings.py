"""How each client stands for its contribution, and whom that shuts out: folded from the records, none of it kept twice.

Only what people did is a file of its own: who was reinstated, and after which record.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from pydantic import BaseModel, ConfigDict

from shieldwall.runtime.contribution.conduct import Court, Pardon, after_pardon, after_record, banned_keys
from shieldwall.runtime.steward.storage import append_line, read_lines

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from shieldwall.contract.policy import RuntimePolicy
    from shieldwall.contract.records import RoundRecord
    from shieldwall.runtime.contribution.conduct import Conduct, Conducts
    from shieldwall.runtime.steward.registry import Member, Registry

_LOG: Final = logging.getLogger(__name__)


class Reinstated(BaseModel):
    """One request that was carried out."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    client: str
    nonce: str
    key: str
    """SHA-256 (hex) of the node key that was shut out."""
    after: int
    """How many records there were."""
    round: int
    """The last released round by then."""


class Standings:
    """The fold over ``records`` and what is in ``directory``; without a policy of contribution nobody stands."""

    def __init__(
        self, policy: RuntimePolicy, registry: Registry, directory: Path, records: Sequence[RoundRecord]
    ) -> None:
        self._policy = policy.contribution
        self._file = directory / "reinstated.jsonl"
        self._reinstated = [Reinstated.model_validate_json(line) for line in read_lines(self._file)]
        self._count = 0
        self._conducts: Conducts = {}
        court = Court.of(policy, {member.client: member.key_sha256 for member in registry.members.values()})
        if court is None:
            return
        self._court = court
        self._fold(records)

    @property
    def banned(self) -> frozenset[str]:
        """Node keys (SHA-256, hex) that are shut out."""
        return banned_keys(self._conducts)

    @property
    def reinstated(self) -> Mapping[str, str]:
        """The last request of each client that was carried out."""
        return {each.client: each.nonce for each in self._reinstated}

    @property
    def bans(self) -> int:
        """How many there were in all."""
        return sum(conduct.bans for conduct in self._conducts.values())

    def of(self, member: Member) -> Conduct | None:
        """How the client with this node key stands; None when it was never scored."""
        return self._conducts.get(member.key_sha256)

    def note(self, record: RoundRecord) -> None:
        """Take over a record that was not there before."""
        if self._policy is None:
            return
        before = self.banned
        self._conducts = after_record(self._conducts, record, self._court)
        self._count += 1
        for key in self.banned - before:
            conduct = self._conducts[key]
            _LOG.warning("client %s is banned after round %d: %s", conduct.client, record.round, _why(conduct))
        for key in before - self.banned:
            _LOG.info("client %s comes back on probation after round %d", self._conducts[key].client, record.round)

    def reinstate(self, member: Member, nonce: str, released: int) -> None:
        """End a client's ban; the same request twice is one. It is on the disk when this returns."""
        if self.reinstated.get(member.client) == nonce:
            return
        entry = Reinstated(client=member.client, nonce=nonce, key=member.key_sha256, after=self._count, round=released)
        append_line(self._file, entry.model_dump_json())
        self._reinstated.append(entry)
        self._pardon(entry)
        _LOG.info("client %s is reinstated, as asked for by %s", member.client, nonce)

    def _fold(self, records: Sequence[RoundRecord]) -> None:
        waiting = list(self._reinstated)
        for record in records:
            waiting = self._pardon_all(waiting)
            self._conducts = after_record(self._conducts, record, self._court)
            self._count += 1
        self._pardon_all(waiting, everybody=True)

    def _pardon_all(self, waiting: list[Reinstated], *, everybody: bool = False) -> list[Reinstated]:
        for entry in waiting:
            if everybody or entry.after <= self._count:
                self._pardon(entry)
        return [] if everybody else [entry for entry in waiting if entry.after > self._count]

    def _pardon(self, entry: Reinstated) -> None:
        if self._policy is not None:
            self._conducts = after_pardon(self._conducts, Pardon(entry.key, entry.round), self._policy)


def _why(conduct: Conduct) -> str:
    return ", ".join(conduct.flags) or "its strikes"
