"""What managed and wrapped trainings share: ask clients in a round that the steward knows of, then conclude it."""

from __future__ import annotations

import hashlib
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from flwr.app import RecordDict

from shieldwall.contract.records import Fate, OpenRound, Outcome, RoundRecord
from shieldwall.pki.pem import certificates_from_pem
from shieldwall.runtime.aggregation import (
    TooFewUpdatesError,
    Updates,
    aggregate,
    aggregate_counters,
    required_replies,
    update_statistics,
)
from shieldwall.runtime.federation.ballot import Ballot, Reply, hold
from shieldwall.runtime.federation.inspection import Inspection
from shieldwall.runtime.federation.judge import Admitted, Asked, Court, Refused
from shieldwall.runtime.flower.inbox import Inbox
from shieldwall.runtime.flower.messages import ROUND_KEY, RoundFacts, only_arrays
from shieldwall.runtime.flower.packing import pack
from shieldwall.runtime.model import InvalidModelError, Model, step

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from contextlib import AbstractContextManager
    from pathlib import Path

    from flwr.app import ArrayRecord, Message
    from flwr.superlink.grid.http_grid import HttpGrid

    from shieldwall.contract.policy import RuntimePolicy
    from shieldwall.contract.records import ReplyRecord
    from shieldwall.runtime.federation.ballot import Clock, Source
    from shieldwall.runtime.federation.inspection import Inspector
    from shieldwall.runtime.federation.steward_client import Steward
    from shieldwall.runtime.model import Vector

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


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of a question."""

    facts: RoundFacts
    opened: float
    """Unix seconds."""
    seconds: float
    replies: tuple[Reply, ...]

    @property
    def admitted(self) -> list[Reply]:
        """Replies with an update that takes part, by client's name: a rule breaks ties by what nobody can choose."""
        good = [reply for reply in self.replies if isinstance(reply.verdict, Admitted)]
        return sorted(good, key=lambda reply: reply.asked.client)


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

    def ask(self, question: Question) -> Answer:
        """Open the round with the steward, send the messages, and judge what comes back."""
        opened, started = self.clock.now(), self.clock.monotonic()
        facts = self._facts(question)
        grant = self.steward.open(
            OpenRound(
                run_id=facts.run_id,
                round=facts.round,
                attempt=facts.attempt,
                nonce=facts.nonce,
                base_sha256=facts.base_sha256,
                clients=tuple(sorted(question.names.values())),
                opened=opened.timestamp(),
            )
        )
        denied = frozenset(grant.denied)
        court = Court(self.policy, facts, certificates_from_pem(self.bundle.read_bytes()), denied)
        left_out = [node for node, client in question.names.items() if client in denied]
        asked = self._send(question, facts, frozenset(left_out))
        ballot = Ballot(court, question.base, self.policy.rounds, asked, started)
        with self.inbox(self.grid, question.model_bytes) as inbox:
            replies = hold(ballot, inbox, self.clock, self._report)
        refusal = Refused(Fate.DENIED, "the client is on the deny list")
        replies += [Reply(Asked(node, question.names[node]), refusal, None) for node in left_out]
        return Answer(facts, opened.timestamp(), self.clock.monotonic() - started, tuple(replies))

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


@dataclass(frozen=True, slots=True)
class Conclusion:
    """A round's replies turned into one model, or the reason why not."""

    model: Model | None
    delta: Vector | None
    """The aggregate, (d,)."""
    replies: tuple[ReplyRecord, ...]
    reason: str = ""
    """Why there is no model."""
    innovation_floor: float | None = None
    """See RoundRecord."""

    def taken_away(self, client: str) -> str:
        """Why a client's reply has no part in the model; empty when it has."""
        return next(
            (reply.detail for reply in self.replies if reply.client == client and reply.fate is not Fate.ADMITTED), ""
        )


def conclude(
    answer: Answer, base: Model, policy: RuntimePolicy, inspector: Inspector | None = None, threads: int = 1
) -> Conclusion:
    """Aggregate the admitted updates by the policy's rule; never outside the rule's theorem.

    The inspector looks at all of them before the rule does, and may take some away.
    """
    admitted = answer.admitted
    needed = max(policy.rounds.min_replies, required_replies(policy.aggregation))
    if len(admitted) < needed:
        given = tuple(reply.record() for reply in answer.replies)
        reason = f"{len(admitted)} replies were admitted where {needed} are needed{_for_example(given)}"
        return Conclusion(None, None, given, reason)
    seen = _inspected(admitted, base, answer.facts.round, needed, inspector)
    records = {reply.asked.client: _seen(reply.record(), seen) for reply in answer.replies}
    kept = [place for place, reply in enumerate(admitted) if reply.asked.client not in seen.refused]
    gram = None if seen.gram is None else seen.gram[np.ix_(kept, kept)]
    admitted = [admitted[place] for place in kept]
    verdicts = [reply.verdict for reply in admitted if isinstance(reply.verdict, Admitted)]
    updates = Updates.of(
        [verdict.update.vector for verdict in verdicts],
        [verdict.num_examples for verdict in verdicts],
        [verdict.update.norm for verdict in verdicts],
    )
    try:
        result = aggregate(updates, policy.aggregation, _seed(answer.facts, verdicts), threads, gram)
    except TooFewUpdatesError as error:
        return Conclusion(None, None, tuple(records.values()), str(error))
    for position, (reply, statistics) in enumerate(
        zip(admitted, update_statistics(updates, result.delta, threads), strict=True)
    ):
        client = reply.asked.client
        records[client] = records[client].model_copy(
            update={
                "norm": statistics.norm,
                "cosine": statistics.cosine,
                "distance": statistics.distance,
                "selected": None if result.selected is None else position in result.selected,
            }
        )
    try:
        model = step(base, result.delta, aggregate_counters([verdict.update.counters for verdict in verdicts]))
    except InvalidModelError as error:
        return Conclusion(None, None, tuple(records.values()), f"the aggregate is no model: {error}")
    return Conclusion(model, result.delta, tuple(records.values()), innovation_floor=seen.floor)


def _inspected(
    admitted: Sequence[Reply], base: Model, round_: int, needed: int, inspector: Inspector | None
) -> Inspection:
    if inspector is None:
        return Inspection()
    vectors = {
        reply.asked.client: reply.verdict.update.vector for reply in admitted if isinstance(reply.verdict, Admitted)
    }
    return inspector.inspect(vectors, base, round_, needed)


def _seen(record: ReplyRecord, seen: Inspection) -> ReplyRecord:
    """The record with what the inspector found."""
    refused = seen.refused.get(record.client)
    fate = {} if refused is None else {"fate": refused.fate, "detail": refused.detail}
    return record.model_copy(update={**seen.facts.get(record.client, {}), **fate})


def _seed(facts: RoundFacts, verdicts: Sequence[Admitted]) -> int:
    """What draws the buckets of a round: the same replies to the same question are always put in the same ones.

    No client can foresee it, and choose a lie for the bucket that it will be in: the norms are those of the others'
    updates too, to the last bit.
    """
    digest = hashlib.sha256(b"shieldwall-buckets-v1")
    for text in (facts.federation_uid, facts.run_id, str(facts.round), str(facts.attempt), facts.nonce):
        digest.update(len(text).to_bytes(8, "big") + text.encode())
    for verdict in verdicts:
        digest.update(struct.pack(">d", verdict.update.norm))
    return int.from_bytes(digest.digest(), "big")


def _for_example(replies: Sequence[ReplyRecord]) -> str:
    """What became of one reply that was not admitted: often of all, for the same reason."""
    refused = next((reply for reply in replies if reply.fate is not Fate.ADMITTED), None)
    if refused is None:
        return ""
    return f"; for example {refused.client}: {refused.fate}" + (f", {refused.detail}" if refused.detail else "")


def record_of(
    answer: Answer, conclusion: Conclusion, policy: RuntimePolicy, metrics: Mapping[str, float] | None = None
) -> RoundRecord:
    """What goes to disk and to the steward about one attempt; the store adds the checkpoint's digest."""
    return RoundRecord(
        run_id=answer.facts.run_id,
        round=answer.facts.round,
        attempt=answer.facts.attempt,
        outcome=Outcome.REPEATED if conclusion.model is None else Outcome.RELEASED,
        opened=answer.opened,
        seconds=answer.seconds,
        rule=policy.aggregation.rule.value,
        pre_aggregation=policy.aggregation.pre_aggregation,
        admitted=sum(reply.fate is Fate.ADMITTED for reply in conclusion.replies),
        byzantine=policy.aggregation.byzantine,
        replies=conclusion.replies,
        metrics=dict(metrics or {}),
        innovation_floor=conclusion.innovation_floor,
    )
