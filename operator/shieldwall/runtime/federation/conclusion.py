"""What becomes of a round's replies: one model by the policy's rule, or the reason why not, and the round's record."""

from __future__ import annotations

import hashlib
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from shieldwall.contract.policy import TooFewReplies
from shieldwall.contract.records import Fate, Outcome, RoundRecord
from shieldwall.runtime.aggregation import (
    TooFewUpdatesError,
    Updates,
    aggregate,
    aggregate_counters,
    required_replies,
    update_statistics,
)
from shieldwall.runtime.federation.inspection import Inspection
from shieldwall.runtime.federation.judge import Admitted
from shieldwall.runtime.model import InvalidModelError, Model, step

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    from shieldwall.contract.policy import RuntimePolicy
    from shieldwall.contract.privacy import PrivacyRecord
    from shieldwall.contract.records import ReplyRecord
    from shieldwall.runtime.federation.ballot import Reply
    from shieldwall.runtime.federation.engine import Answer
    from shieldwall.runtime.federation.inspection import Inspector
    from shieldwall.runtime.flower.messages import RoundFacts
    from shieldwall.runtime.model import Vector
    from shieldwall.runtime.privacy.central import CentralNoise, Noised


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
    noised: Noised | None = None
    """The noise that was added, where it was added here: it is spent, whether there is a model or not."""

    def taken_away(self, client: str) -> str:
        """Why a client's reply has no part in the model; empty when it has."""
        return next(
            (reply.detail for reply in self.replies if reply.client == client and reply.fate is not Fate.ADMITTED), ""
        )


def conclude(  # noqa: PLR0913, PLR0917  # what one round is concluded by, each used once
    answer: Answer,
    base: Model,
    policy: RuntimePolicy,
    inspector: Inspector | None = None,
    threads: int = 1,
    noise: CentralNoise | None = None,
) -> Conclusion:
    """Aggregate the admitted updates by the policy's rule; never outside the rule's theorem.

    The inspector looks at all of them before the rule does, and may take some away. With ``noise`` every reply that
    arrived counts, for how many take part must not depend on what is in them: one that was refused is an update of
    zeros, the clip and the noise are those of ``noise``, and arrays that are not floating stay as they are.
    """
    admitted = answer.admitted
    needed = max(policy.rounds.min_replies, required_replies(policy.aggregation))
    counted = len(admitted) if noise is None else len(answer.arrived)
    if counted < needed:
        given = tuple(reply.record() for reply in answer.replies)
        came = "were admitted" if noise is None else "arrived"
        return Conclusion(None, None, given, f"{counted} replies {came} where {needed} are needed{_for_example(given)}")
    seen = _inspected(admitted, base, answer.facts.round, needed, inspector)
    records = {reply.asked.client: _seen(reply.record(), seen) for reply in answer.replies}
    entries = _entries(answer, seen) if noise is None else _all_entries(answer, seen, base)
    aggregation = policy.aggregation if noise is None else noise.clipping(policy.aggregation)
    seed = _seed(answer.facts, entries.verdicts) if noise is None else noise.seed()
    try:
        result = aggregate(entries.updates, aggregation, seed, threads, entries.gram)
    except TooFewUpdatesError as error:
        return Conclusion(None, None, tuple(records.values()), str(error))
    noised = None if noise is None else noise.noise(result.delta, entries.updates.norms, aggregation)
    # Statistics are told of what is released: with noise, nobody learns the aggregate without it.
    statistics = update_statistics(entries.updates, result.delta, threads)
    for position, (client, one) in enumerate(zip(entries.clients, statistics, strict=True)):
        if records[client].fate is Fate.ADMITTED:
            selected = None if result.selected is None else position in result.selected
            found = {"norm": one.norm, "cosine": one.cosine, "distance": one.distance, "selected": selected}
            records[client] = records[client].model_copy(update=found)
    counters = (
        base.arrays if noise is not None else aggregate_counters([one.update.counters for one in entries.verdicts])
    )
    replies = tuple(records.values())
    try:
        model = step(base, result.delta, counters)
    except InvalidModelError as error:
        return Conclusion(None, None, replies, f"the aggregate is no model: {error}", noised=noised)
    return Conclusion(model, result.delta, replies, innovation_floor=seen.floor, noised=noised)


@dataclass(frozen=True, slots=True)
class _Entries:
    """What goes into the rule, by client's name."""

    clients: tuple[str, ...]
    verdicts: tuple[Admitted, ...]
    """Of those among them that were admitted."""
    updates: Updates
    gram: NDArray[np.float64] | None


def _entries(answer: Answer, seen: Inspection) -> _Entries:
    """The admitted updates that the inspector left."""
    admitted = answer.admitted
    kept = [place for place, reply in enumerate(admitted) if reply.asked.client not in seen.refused]
    gram = None if seen.gram is None else seen.gram[np.ix_(kept, kept)]
    clients = tuple(admitted[place].asked.client for place in kept)
    verdicts = _verdicts(admitted[place] for place in kept)
    updates = Updates.of(
        [verdict.update.vector for verdict in verdicts],
        [verdict.num_examples for verdict in verdicts],
        [verdict.update.norm for verdict in verdicts],
    )
    return _Entries(clients, verdicts, updates, gram)


def _all_entries(answer: Answer, seen: Inspection, base: Model) -> _Entries:
    """Every reply that arrived, zeros in the place of those that were refused."""
    arrived, verdicts = answer.arrived, _verdicts(answer.admitted)
    places = [place for place, reply in enumerate(arrived) if isinstance(reply.verdict, Admitted)]
    vectors = [np.zeros(base.schema.size, base.schema.vector_dtype)] * len(arrived)
    norms = [0.0] * len(arrived)
    for place, verdict in zip(places, verdicts, strict=True):
        vectors[place], norms[place] = verdict.update.vector, verdict.update.norm
    gram = None
    if seen.gram is not None:
        gram = np.zeros((len(arrived), len(arrived)))
        gram[np.ix_(places, places)] = seen.gram
    return _Entries(tuple(reply.asked.client for reply in arrived), verdicts, Updates.of(vectors, None, norms), gram)


def _verdicts(replies: Iterable[Reply]) -> tuple[Admitted, ...]:
    return tuple(reply.verdict for reply in replies if isinstance(reply.verdict, Admitted))


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
    answer: Answer,
    conclusion: Conclusion,
    policy: RuntimePolicy,
    metrics: Mapping[str, float],
    privacy: PrivacyRecord | None,
) -> RoundRecord:
    """What goes to disk and to the steward about one attempt; the store adds the checkpoint's digest."""
    return RoundRecord(
        run_id=answer.facts.run_id,
        round=answer.facts.round,
        attempt=answer.facts.attempt,
        outcome=_outcome(conclusion, policy),
        reason=conclusion.reason,
        opened=answer.opened,
        seconds=answer.seconds,
        rule=policy.aggregation.rule.value,
        pre_aggregation=policy.aggregation.pre_aggregation,
        admitted=sum(reply.fate is Fate.ADMITTED for reply in conclusion.replies),
        byzantine=policy.aggregation.byzantine,
        replies=conclusion.replies,
        metrics=dict(metrics),
        innovation_floor=conclusion.innovation_floor,
        privacy=privacy,
    )


def _outcome(conclusion: Conclusion, policy: RuntimePolicy) -> Outcome:
    if conclusion.model is not None:
        return Outcome.RELEASED
    return Outcome.SKIPPED if policy.rounds.on_too_few_replies is TooFewReplies.SKIP else Outcome.REPEATED
