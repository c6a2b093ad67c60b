"""What managed and wrapped trainings share: clients are asked in a round that the steward knows of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from flwr.app import RecordDict

from shieldwall.contract.privacy import PrivacyMode
from shieldwall.contract.records import Fate, OpenRound
from shieldwall.pki.pem import certificates_from_pem
from shieldwall.runtime.federation.ballot import Ballot, Reply, hold
from shieldwall.runtime.federation.judge import Admitted, Asked, Court, Refused
from shieldwall.runtime.flower.inbox import Inbox
from shieldwall.runtime.flower.messages import ROUND_KEY, RoundFacts, only_arrays
from shieldwall.runtime.flower.packing import pack
from shieldwall.runtime.privacy.keeper import Occasion

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from contextlib import AbstractContextManager
    from pathlib import Path

    from flwr.app import ArrayRecord, Message
    from flwr.superlink.grid.http_grid import HttpGrid

    from shieldwall.contract.policy import RuntimePolicy
    from shieldwall.runtime.federation.ballot import Clock, Source
    from shieldwall.runtime.federation.steward_client import Steward
    from shieldwall.runtime.model import Model
    from shieldwall.runtime.privacy.keeper import PrivacyKeeper

_NONCE_BYTES = 32


@dataclass(frozen=True, slots=True)
class Question:
    """What to ask in one attempt at a round."""

    round: int
    attempt: int
    base_sha256: str
    """Digest of the model in the messages (shieldwall.runtime.model.model_sha256)."""
    base: Model | None
    """What updates are taken from; None where replies hold no update."""
    messages: Sequence[Message]
    names: Mapping[int, str]
    """Clients by the node id that a message is for."""
    model_bytes: int
    drawn_from: tuple[str, ...] | None = None
    """See Occasion."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of a question."""

    facts: RoundFacts
    occasion: Occasion
    opened: float
    """Unix seconds."""
    seconds: float
    replies: tuple[Reply, ...]

    @property
    def admitted(self) -> list[Reply]:
        """Replies with an update that takes part, by client's name: a rule breaks ties by what nobody can choose."""
        good = [reply for reply in self.replies if isinstance(reply.verdict, Admitted)]
        return sorted(good, key=lambda reply: reply.asked.client)

    @property
    def arrived(self) -> list[Reply]:
        """All that came in time, whatever is in them, by client's name: how many there are is nobody's secret."""
        came = [reply for reply in self.replies if not _stayed_away(reply)]
        return sorted(came, key=lambda reply: reply.asked.client)


def _stayed_away(reply: Reply) -> bool:
    return isinstance(reply.verdict, Refused) and reply.verdict.fate in {Fate.NO_REPLY, Fate.DENIED}


@dataclass(frozen=True, slots=True)
class Engine:
    """The means by which rounds are run."""

    grid: HttpGrid
    policy: RuntimePolicy
    steward: Steward
    bundle: Path
    """The issuing CAs that clients' certificates must chain to; read anew for each round, since CAs rotate."""
    clock: Clock
    random: Callable[[int], bytes]
    """``os.urandom``."""
    log: Callable[[str], None]
    threads: int = 1
    """How many processors aggregation may keep busy."""
    inbox: Callable[[HttpGrid, int], AbstractContextManager[Source]] = Inbox
    """Where replies are taken from; the second argument bounds their size by the model's bytes."""

    def ask(self, question: Question, keeper: PrivacyKeeper | None = None) -> Answer:
        """Open the round with the steward, send the messages, and judge what comes back.

        Raises BudgetSpentError, before anybody is asked, where ``keeper`` does not allow the round. By then the steward
        knows what is spent, also by attempts that have no record since their aggregator died.
        """
        opened, started = self.clock.now(), self.clock.monotonic()
        facts = self._facts(question)
        wanted = _occasion(question, facts, frozenset())
        grant = self.steward.open(
            OpenRound(
                run_id=facts.run_id,
                round=facts.round,
                attempt=facts.attempt,
                nonce=facts.nonce,
                base_sha256=facts.base_sha256,
                clients=tuple(sorted(question.names.values())),
                opened=opened.timestamp(),
                privacy=None if keeper is None else keeper.record(wanted, None, 0),
            )
        )
        if keeper is not None:
            keeper.require_budget(wanted)
        denied = frozenset(grant.denied)
        court = Court(self.policy, facts, certificates_from_pem(self.bundle.read_bytes()), denied)
        left_out = [node for node, client in question.names.items() if client in denied]
        occasion = _occasion(question, facts, denied)
        if keeper is not None:
            keeper.asking(occasion)
        asked = self._send(question, facts, frozenset(left_out))
        ballot = Ballot(court, question.base, self.policy.rounds, asked, started, self._every_reply_counts)
        with self.inbox(self.grid, question.model_bytes) as inbox:
            replies = hold(ballot, inbox, self.clock, self._report)
        refusal = Refused(Fate.DENIED, "the client is on the deny list")
        replies += [Reply(Asked(node, question.names[node]), refusal, None) for node in left_out]
        return Answer(facts, occasion, opened.timestamp(), self.clock.monotonic() - started, tuple(replies))

    @property
    def _every_reply_counts(self) -> bool:
        privacy = self.policy.privacy
        return privacy is not None and privacy.mode is PrivacyMode.CLIENT_LEVEL_CENTRAL

    def _facts(self, question: Question) -> RoundFacts:
        return RoundFacts(
            federation_uid=self.policy.federation.uid,
            run_id=str(self.grid.run.run_id),
            round=question.round,
            attempt=question.attempt,
            nonce=self.random(_NONCE_BYTES).hex(),
            base_sha256=question.base_sha256,
        )

    def _send(self, question: Question, facts: RoundFacts, left_out: frozenset[int]) -> dict[str, Asked]:
        """Send to all but those left out: who may not take part does not get the model either."""
        packed: dict[int, ArrayRecord] = {}
        messages = [message for message in question.messages if message.metadata.dst_node_id not in left_out]
        for message in messages:
            name, arrays = only_arrays(message.content)
            if id(arrays) not in packed:
                packed[id(arrays)] = pack(arrays)
            message.content = RecordDict({**message.content, name: packed[id(arrays)], ROUND_KEY: facts.to_record()})
        ids = self.grid.push_messages(messages)
        nodes = [message.metadata.dst_node_id for message in messages]
        return {
            message_id: Asked(node, question.names[node])
            for message_id, node in zip(ids, nodes, strict=True)
            if message_id
        }

    def _report(self, reply: Reply) -> None:
        record = reply.record()
        self.log(f"{record.client}: {record.fate}{' – ' if record.detail else ''}{record.detail}")


def _occasion(question: Question, facts: RoundFacts, denied: frozenset[str]) -> Occasion:
    allowed = tuple(sorted(client for client in question.names.values() if client not in denied))
    drawn_from = question.drawn_from
    if drawn_from is not None:
        drawn_from = tuple(sorted(client for client in drawn_from if client not in denied))
    return Occasion(facts.run_id, facts.round, facts.attempt, allowed, drawn_from)
