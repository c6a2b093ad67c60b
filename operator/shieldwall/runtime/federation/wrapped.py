"""A wrapped training: the user's own ServerApp and strategy, unchanged, behind a Grid that keeps the policy.

Train replies go through the same court and rule as in a managed training. The strategy is then handed one reply for
each admitted client, and all of them carry the policy's aggregate with equal weights: whatever it averages, it gets
the aggregate. Metrics are held within what honest clients claim (``claims``), and strategies that need each client's
own update are refused (``strategies``). Replies that were refused reach it as Flower's own error replies, which
strategies leave out.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from flwr.app import Array, ArrayRecord, Message, RecordDict
from flwr.serverapp import Grid

from shieldwall.runtime.federation.claims import bound_claims
from shieldwall.runtime.federation.dtypes import as_sent_first
from shieldwall.runtime.federation.engine import Question
from shieldwall.runtime.federation.forms import usual_form
from shieldwall.runtime.federation.handed import handed, keep_private
from shieldwall.runtime.federation.inspection import inspector_for
from shieldwall.runtime.federation.judge import Refused
from shieldwall.runtime.federation.members import members
from shieldwall.runtime.federation.repeats import MOST_ATTEMPTS, RoundNotReachedError, is_over, wait_for_clients
from shieldwall.runtime.federation.settle import come_of, keeper_for, settle
from shieldwall.runtime.federation.strategies import UnsafeStrategyError
from shieldwall.runtime.flower.messages import decode_array
from shieldwall.runtime.flower.packing import MalformedArraysError
from shieldwall.runtime.flower.secure_aggregation import HIDES, asks_for_masks
from shieldwall.runtime.model import InvalidModelError, Model

if TYPE_CHECKING:
    from collections.abc import Iterable

    from flwr.proto.node_pb2 import NodeInfo
    from flwr.supercore.run import Run

    from shieldwall.runtime.checkpoint import CheckpointStore
    from shieldwall.runtime.federation.conclusion import Conclusion
    from shieldwall.runtime.federation.engine import Answer, Engine
    from shieldwall.runtime.model import Schema

_TRAIN: Final = "train"


class PolicyGrid(Grid):
    """Stands between the user's ServerApp and Flower's grid."""

    def __init__(self, engine: Engine, store: CheckpointStore) -> None:
        self._engine = engine
        self._store = store
        self._keeper = keeper_for(engine, store)
        self._inspector = inspector_for(engine.policy, store, engine.random, engine.threads, engine.log)
        latest = store.latest()
        self._round = latest.round if latest else 0
        self._attempt = 0
        self._schema: Schema | None = None
        """Of the first model that the strategy sent."""
        self._held: dict[str, Message] = {}
        """Replies that wait for ``pull_messages``, by the id of the message they answer."""

    def set_run(self, run: Run) -> None:
        """See Grid."""
        self._engine.grid.set_run(run)

    @property
    def run(self) -> Run:
        """See Grid."""
        return self._engine.grid.run

    def create_message(
        self, content: RecordDict, message_type: str, dst_node_id: int, group_id: str, ttl: float | None = None
    ) -> Message:
        """See Grid."""
        return Message(content, dst_node_id, message_type, ttl=ttl, group_id=group_id)

    def get_node_ids(self) -> list[int]:
        """See Grid; only nodes of the policy's clients."""
        return list(members(self._engine.grid.get_nodes(), self._engine.policy))

    def get_nodes(self) -> list[NodeInfo]:
        """See Grid; only nodes of the policy's clients."""
        known = set(self.get_node_ids())
        return [node for node in self._engine.grid.get_nodes() if node.node_id in known]

    def push_messages(self, messages: Iterable[Message]) -> list[str]:
        """Send, wait for the round to close, and hold what comes of it for ``pull_messages``.

        Nobody gets to see a reply before the round's aggregate exists, so this waits where Flower's does not.
        """
        batch = list(messages)
        replies = self._exchange(batch)
        self._held |= {reply.metadata.reply_to_message_id: reply for reply in replies}
        return [message.metadata.message_id for message in batch]

    def pull_messages(self, message_ids: Iterable[str]) -> list[Message]:
        """Replies to messages pushed before, each once."""
        return [self._held.pop(message_id) for message_id in message_ids if message_id in self._held]

    def send_and_receive(self, messages: Iterable[Message], *, timeout: float | None = None) -> list[Message]:
        """See Grid; the policy's times hold, and ``timeout`` only where it is shorter."""
        return self._exchange(list(messages), timeout)

    def _exchange(self, messages: list[Message], timeout: float | None = None) -> list[Message]:
        if not messages:
            return []
        question, answer, conclusion = self._asked(self._question(messages), self._within(timeout))
        sent = {message.metadata.dst_node_id: message for message in question.messages}
        form = usual_form(
            reply.verdict.message.content for reply in answer.replies if not isinstance(reply.verdict, Refused)
        )
        replies = [handed(reply, sent[reply.asked.node_id], conclusion, form) for reply in answer.replies]
        contents = [message.content for message in replies if message.has_content()]
        if self._keeper is not None:
            for content in contents:
                keep_private(content)
        bound_claims(contents, self._engine.policy.aggregation.byzantine)
        return replies

    def _asked(self, question: Question, engine: Engine) -> tuple[Question, Answer, Conclusion | None]:
        """Ask, and as the policy says again: the last question, and what came of it. Raises RoundNotReachedError.

        The strategy waits for it as it would for slow clients, and sees the replies to the last question only.
        """
        first, contents = question.messages, [message.content for message in question.messages]
        while True:
            answer = engine.ask(question, self._keeper)
            if question.base is None:
                return question, answer, None
            conclusion = self._conclude(answer, question.base)
            if is_over(engine, conclusion):
                for message, last in zip(first, question.messages, strict=True):
                    message.metadata.__dict__["_message_id"] = last.metadata.message_id  # as Flower's grids do it
                return question, answer, conclusion
            engine.log(f"round {question.round}, attempt {question.attempt}: {conclusion.reason}")
            if self._attempt >= MOST_ATTEMPTS:
                raise RoundNotReachedError(question.round, self._attempt, conclusion.reason)
            wait_for_clients(engine)
            self._attempt += 1
            again = [_anew(message, content) for message, content in zip(first, contents, strict=True)]
            question = replace(question, attempt=self._attempt, messages=again)

    def _within(self, timeout: float | None) -> Engine:
        """The engine with the strategy's own time-out, where that is shorter than the policy's."""
        rounds = self._engine.policy.rounds
        if timeout is None or timeout >= rounds.timeout_seconds:
            return self._engine
        shorter = rounds.model_copy(update={"timeout_seconds": max(1, math.floor(timeout))})
        return replace(self._engine, policy=self._engine.policy.model_copy(update={"rounds": shorter}))

    def _question(self, messages: list[Message]) -> Question:
        kinds = {message.metadata.message_type.partition(".")[0] for message in messages}
        if len(kinds) != 1:
            raise UnsafeStrategyError("the strategy mixes message types in one exchange")
        training = kinds == {_TRAIN}
        if not training and self._keeper is not None:
            raise UnsafeStrategyError(
                "the strategy asks clients for more than updates, and no ε covers what they answer: set"
                " fraction_evaluate to 0 and evaluate on the server"
            )
        if training:
            self._round, self._attempt = self._round + 1, 1
        else:
            self._attempt += 1
        model = self._common_model(messages)
        names = members(self._engine.grid.get_nodes(), self._engine.policy)
        known = [message for message in messages if message.metadata.dst_node_id in names]
        return Question(
            round=self._round,
            attempt=self._attempt,
            base_sha256=model.sha256,
            base=model if training else None,
            messages=known,
            names={message.metadata.dst_node_id: names[message.metadata.dst_node_id] for message in known},
            model_bytes=sum(array.nbytes for array in model.arrays.values()),
        )

    def _common_model(self, messages: list[Message]) -> Model:
        """The one model that all messages carry, in the dtypes of the first; raises UnsafeStrategyError.

        An update is only defined against what its client was sent, so a strategy that sends different models to
        different clients cannot be aggregated robustly.
        """
        if any(map(asks_for_masks, messages)):
            rule = self._engine.policy.aggregation.rule
            raise UnsafeStrategyError(f"secure aggregation {HIDES.format(rule=rule)}.")
        records = [message.content.array_records for message in messages]
        if any(len(record) != 1 for record in records):
            raise UnsafeStrategyError("the strategy must send exactly one ArrayRecord in each message")
        first = next(iter(records[0].values()))
        if any(next(iter(record.values())).object_id != first.object_id for record in records[1:]):
            raise UnsafeStrategyError("the strategy sends different models to different clients")
        try:
            arrays = {name: decode_array(array) for name, array in first.items()}
            model = Model.of(arrays if self._schema is None else as_sent_first(arrays, self._schema))
        except (MalformedArraysError, InvalidModelError) as error:
            raise UnsafeStrategyError(f"the strategy's arrays are no model: {error}") from error
        self._schema = self._schema or model.schema
        if any(model.arrays[name].dtype != array.dtype for name, array in arrays.items()):
            _resend(messages, model)
        return model

    def _conclude(self, answer: Answer, base: Model) -> Conclusion:
        conclusion = come_of(self._engine, self._keeper, answer, base, self._inspector)
        settle(self._engine, self._store, self._keeper, answer, conclusion, {})
        return conclusion


def _anew(message: Message, content: RecordDict) -> Message:
    """The message once more, as the strategy made it; its time to live begins now."""
    asked = message.metadata
    return Message(content, asked.dst_node_id, asked.message_type, ttl=asked.ttl, group_id=asked.group_id)


def _resend(messages: list[Message], model: Model) -> None:
    """Put ``model`` into every message in the place of its arrays."""
    arrays = ArrayRecord(array_dict={name: Array(array) for name, array in model.arrays.items()})
    for message in messages:
        name = next(iter(message.content.array_records))
        message.content = RecordDict({**message.content, name: arrays})
