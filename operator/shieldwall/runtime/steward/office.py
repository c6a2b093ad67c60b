"""All that the steward knows and has decided, in one place. No network here; what must survive is on the disk."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from shieldwall.contract.policy import Mode
from shieldwall.contract.records import (
    ClientStatus,
    DenyList,
    Fate,
    OpenRound,
    Phase,
    RegisteredNode,
    RoundGrant,
    RoundRecord,
    StewardStatus,
)
from shieldwall.runtime.steward import gate
from shieldwall.runtime.steward.certificates import NoCertificateError, UnreadableCertificateError, shown
from shieldwall.runtime.steward.registry import Member, registry_of
from shieldwall.runtime.steward.rounds import REFUSED, Rounds
from shieldwall.runtime.steward.run import RunState
from shieldwall.runtime.steward.sightings import Sightings
from shieldwall.runtime.steward.standings import Standings
from shieldwall.runtime.steward.storage import read_text, replace_text
from shieldwall.runtime.tally import UNTRIED

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from shieldwall.contract.policy import RuntimePolicy
    from shieldwall.contract.records import Reinstatements
    from shieldwall.runtime.contribution.conduct import Conduct
    from shieldwall.runtime.steward.flower import Node
    from shieldwall.runtime.steward.run import Step
    from shieldwall.runtime.tally import Tally


_COUNT: Final = re.compile(r"[0-9]{1,9}", re.ASCII)


class Office:
    """The steward's books. ``directory`` is on the server's volume; ``policy_sha256`` of the policy's file, hex."""

    def __init__(self, policy: RuntimePolicy, directory: Path, policy_sha256: str | None = None) -> None:
        self.policy = policy
        self._policy_sha256 = policy_sha256
        self.registry = registry_of(policy)
        self.rounds = Rounds(directory)
        self.standings = Standings(policy, self.registry, directory, self.rounds.records)
        self.sightings = Sightings()
        self.online: frozenset[str] = frozenset()
        """SPIFFE ids."""
        self.handshakes: dict[str, int] = {}
        self.backed_up: float | None = None
        """Unix seconds: when Flower's database was last copied, by this process."""
        self.phase = Phase.STARTING
        self.message = "The steward has started."
        self._state_file = directory / "run.json"
        self._deny_file = directory / "deny.json"
        state, deny = read_text(self._state_file), read_text(self._deny_file)
        found = RunState.model_validate_json(state) if state is not None else RunState()
        self.run = found
        self.run = found.under(policy_sha256, self.tally.released)
        self._ordered = DenyList.model_validate_json(deny) if deny is not None else DenyList()
        """By the operator."""

    @property
    def deny(self) -> DenyList:
        """Who may not pass now: whom the operator denies, and whose node keys are banned for what they did not do."""
        keys = (*self._ordered.node_keys, *sorted(self.standings.banned))
        return self._ordered.model_copy(update={"node_keys": keys})

    @property
    def released(self) -> int:
        """The last released round; 0 before the first."""
        record = self.rounds.released
        return record.round if record is not None else 0

    @property
    def tally(self) -> Tally:
        """How rounds fared: of all runs, or in wrapped mode, where each run begins anew, of the last one."""
        if self.policy.app.mode is Mode.MANAGED:
            return self.rounds.tally()
        return self.rounds.tally(self.run.runs[-1]) if self.run.runs else UNTRIED

    def authorize(self, headers: Sequence[tuple[bytes, bytes]], path: str, body: bytes, now: float) -> gate.Decision:
        """Decide about a request and count the decision."""
        decision = gate.decide(headers, path, body, self.registry, self.deny, now)
        self.sightings.saw(decision, now)
        return decision

    def note_aggregator(self, headers: Sequence[tuple[bytes, bytes]]) -> None:
        """Take over which certificate the aggregator showed. What the proxy did not write, or is not its, is no news.

        Nothing is decided by it: the proxy lets nobody else through to where this is called.
        """
        try:
            certificate = shown(headers)
        except (NoCertificateError, UnreadableCertificateError):
            return
        if certificate.uris == (self.policy.federation.id.aggregator().uri,):
            self.sightings.aggregator = certificate

    def note_leaf_failures(self, identity: str, told: str) -> None:
        """Take over how often a client's signer says it found an unusable leaf; what is not a number is no news."""
        if identity in self.registry.members and _COUNT.fullmatch(told):
            self.sightings.leaf_failures[identity] = int(told)

    def set_deny(self, deny: DenyList) -> None:
        """Replace the operator's deny list; it is on the disk and in force when this returns. Bans stay."""
        replace_text(self._deny_file, deny.model_dump_json())
        self._ordered = deny

    def reinstate(self, wanted: Reinstatements) -> None:
        """End the bans of these clients; on the disk and in force when this returns. Unknown names are no news."""
        for client, nonce in sorted(wanted.nonces.items()):
            if (member := self.registry.by_client(client)) is not None:
                self.standings.reinstate(member, nonce, self.released)

    def note_nodes(self, nodes: Iterable[Node]) -> None:
        """Take over what the SuperLink says about node ids and who is online."""
        known = tuple(nodes)
        self.registry = self.registry.with_nodes(known)
        awake = {node.public_key for node in known if node.online}
        self.online = frozenset(one.identity for one in self.registry.members.values() if one.public_key in awake)

    def note_step(self, step: Step) -> None:
        """Take over a step's state, phase and message."""
        self.remember(step.state)
        self.phase, self.message = step.phase, step.message

    def remember(self, state: RunState) -> None:
        """Keep the run's state, on the disk first."""
        if state != self.run:
            replace_text(self._state_file, state.model_dump_json())
            self.run = state

    def open_round(self, opened: OpenRound) -> RoundGrant:
        """Open a round of the current run. Raises UnknownRunError."""
        self.rounds.open(opened, self.run.current)
        members = [self.registry.by_client(client) for client in opened.clients]
        return RoundGrant(denied=tuple(one.client for one in members if one is not None and self.is_denied(one)))

    def close_round(self, record: RoundRecord) -> None:
        """Keep the record of a round, and let it count for and against its clients once. Raises UnknownRunError."""
        if self.rounds.close(record, self.run.runs):
            self.standings.note(record)

    def open_round_for(self, identity: str) -> OpenRound | None:
        """The round that the client with this SPIFFE id may sign for now."""
        member = self.registry.members.get(identity)
        if member is None or self.is_denied(member):
            return None
        return self.rounds.open_for(member.client, self.run.current)

    def node_of(self, identity: str) -> RegisteredNode | None:
        """The node of the client with this SPIFFE id; None before the SuperLink has it."""
        member = self.registry.members.get(identity)
        if member is None or member.node_id is None:
            return None
        return RegisteredNode(node_id=str(member.node_id), online=identity in self.online)

    def is_denied(self, member: Member) -> bool:
        """Whether the deny list holds the client, its node key or the certificate it last showed."""
        seen = self.sightings.of(member.identity)
        return (
            member.identity in self.deny.clients
            or member.key_sha256 in self.deny.node_keys
            or (seen is not None and seen.certificate.serial in self.deny.serials)
        )

    def status(self) -> StewardStatus:
        """The state of the training, as it is told to the operator."""
        last, aggregator = self.rounds.released, self.sightings.aggregator
        return StewardStatus(
            phase=self.phase,
            message=self.message,
            run_id=self.run.current,
            runs_started=len(self.run.runs),
            round=self.released,
            lost=self.tally.lost,
            rounds=self.policy.rounds.count,
            records=len(self.rounds.records),
            metrics=last.metrics if last is not None else {},
            model_sha256=last.model_sha256 if last is not None else None,
            clients=self.clients(),
            denials=self.sightings.denials,
            handshakes=self.handshakes,
            aggregator_serial=aggregator.serial if aggregator is not None else None,
            aggregator_not_after=aggregator.not_after if aggregator is not None else None,
            policy_sha256=self._policy_sha256,
            reinstated=self._reinstated(),
            privacy=self.rounds.privacy,
        )

    def _reinstated(self) -> dict[str, str]:
        """Of the policy's clients, so that there are never more than there may be."""
        done = self.standings.reinstated
        return {each.client: done[each.client] for each in self.registry.members.values() if each.client in done}

    def clients(self) -> tuple[ClientStatus, ...]:
        """What is known of each client, in the policy's order."""
        fates = self.rounds.fates()
        return tuple(self._client(member, fates.get(member.client, {})) for member in self.registry.members.values())

    def _client(self, member: Member, fates: dict[Fate, int]) -> ClientStatus:
        seen, conduct = self.sightings.of(member.identity), self.standings.of(member)
        return ClientStatus(
            name=member.client,
            node_id=str(member.node_id) if member.node_id is not None else None,
            online=member.identity in self.online,
            denied=self.is_denied(member),
            serial=seen.certificate.serial if seen is not None else None,
            not_after=seen.certificate.not_after if seen is not None else None,
            last_seen=seen.when if seen is not None else None,
            admitted=fates.get(Fate.ADMITTED, 0),
            refused=sum(count for fate, count in fates.items() if fate in REFUSED),
            **(_told(conduct) if conduct is not None else {}),
        )


def _told(conduct: Conduct) -> dict[str, Any]:
    return {
        "innovation": conduct.innovation,
        "strikes": conduct.strikes,
        "flags": conduct.flags,
        "banned_since": conduct.banned_since,
        "probation_until": conduct.probation_until,
        "held": conduct.held,
    }
