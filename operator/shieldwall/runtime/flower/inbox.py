"""Taking replies from the SuperLink so that a bad one costs nothing but itself.

Flower's own ``HttpGrid.pull_messages`` pulls all waiting replies in one call, one after the other. A reply that cannot
be inflated raises out of it and the others, already taken from the SuperLink, are lost; a client that announces a
reply and never uploads it holds up everyone; a reply of any size is read into memory. Here each reply is pulled in a
thread of its own and comes back as what it is: a message, or the reason why it is none. Its size is bounded: that of
each object by the server's proxy (8 MiB), that of all of them here.

A SuperNode whose announcement is answered on a connection that breaks announces it again, is told that nothing is
wanted of what is known already, and takes its reply for sent: the objects of that reply never come. So a reply of which
nothing comes any more is given up long before the round ends.
"""

from __future__ import annotations

import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from flwr.app import Message
from flwr.proto.message_pb2 import ConfirmMessageReceivedRequest
from flwr.proto.runtime_pb2 import PullAppMessagesRequest
from flwr.supercore.inflatable.inflatable_object import iterate_object_tree
from flwr.supercore.inflatable.inflatable_protobuf_utils import make_pull_object_fn_protobuf
from flwr.supercore.inflatable.inflatable_utils import inflate_object_from_contents, pull_objects

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from types import TracebackType

    from flwr.proto.message_pb2 import Message as MessageProto
    from flwr.proto.message_pb2 import ObjectTree
    from flwr.superlink.grid.http_grid import HttpGrid

_OVERHEAD_BYTES = 1 << 20
"""What a reply may weigh beside its arrays: metrics, seal and object heads."""
_THREADS = 64
_PULL_TRIES = 10_000
STALLED_SECONDS = 60.0
"""Flower gives an object up that takes longer than 30 s, and begins it again."""


class ReplyTooLargeError(Exception):
    """A reply is larger than a model can be; ``limit`` is in bytes."""

    def __init__(self, limit: int) -> None:
        super().__init__(f"the reply is larger than {limit} bytes")
        self.limit = limit


class StalledReplyError(TimeoutError):
    """A reply was announced, and nothing of it has come for ``seconds``."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"a reply was announced, and nothing of it came for {seconds:g} s")
        self.seconds = seconds


@dataclass(frozen=True, slots=True)
class Arrival:
    """What came in answer to a message."""

    question: str
    """Id of the message that is answered."""
    message: Message | None
    problem: str = ""
    """Why there is no message."""
    lost: bool = False
    """Whether it is none because it never came, which proves nothing against its sender."""


class Inbox:
    """Replies to messages that were pushed through ``grid``; use as a context manager."""

    def __init__(self, grid: HttpGrid, model_bytes: int, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._grid = grid
        self._limit = 2 * model_bytes + _OVERHEAD_BYTES
        self._monotonic = monotonic
        self._pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="inbox")
        self._pulling: dict[str, Future[Message]] = {}
        self._closed = threading.Event()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._closed.set()
        self._pool.shutdown(wait=False, cancel_futures=True)

    def poll(self, questions: Iterable[str]) -> list[Arrival]:
        """What has arrived in answer to ``questions`` (message ids) since the last call; never raises for a reply."""
        waiting = [question for question in questions if question not in self._pulling]
        if waiting:
            response = self._grid._runtime_client.PullMessages(  # noqa: SLF001  # Grid has no way to pull one reply at a time
                PullAppMessagesRequest(message_ids=waiting)
            )
            for proto, tree in zip(response.messages_list, response.message_object_trees, strict=True):
                question = proto.metadata.reply_to_message_id
                if question not in self._pulling:
                    self._pulling[question] = self._pool.submit(self._pull, proto, tree)
        done = [question for question, future in self._pulling.items() if future.done()]
        return [_arrival(question, self._pulling.pop(question)) for question in done]

    def _pull(self, proto: MessageProto, tree: ObjectTree) -> Message:
        run_id = self._grid.run.run_id
        client = self._grid._runtime_client  # noqa: SLF001  # as above
        ids = [node.object_id for node in iterate_object_tree(tree)]
        pull = make_pull_object_fn_protobuf(client.PullObject, self._grid.node, run_id)
        contents = pull_objects(
            ids, self._bounded(pull), max_time=None, max_tries_per_object=_PULL_TRIES, initial_backoff=0.2
        )
        message_id = proto.metadata.message_id
        client.ConfirmMessageReceived(
            ConfirmMessageReceivedRequest(node=self._grid.node, run_id=run_id, message_object_id=message_id)
        )
        message = inflate_object_from_contents(message_id, contents)
        if not isinstance(message, Message):
            raise TypeError("the reply is not a message")
        message.metadata.__dict__["_message_id"] = message_id
        return message

    def _bounded(self, pull: Callable[[str], bytes]) -> Callable[[str], bytes]:
        """Count bytes over all objects of one reply, and the time since the last of them came.

        The result raises ReplyTooLargeError, StalledReplyError, or TimeoutError when the round is over.
        """
        lock = threading.Lock()
        total = 0
        moved = self._monotonic()

        def bounded(object_id: str) -> bytes:
            nonlocal total, moved
            if self._closed.is_set():
                raise TimeoutError("the round has ended")
            if self._monotonic() - moved > STALLED_SECONDS:
                raise StalledReplyError(STALLED_SECONDS)
            content = pull(object_id)
            with lock:
                moved = self._monotonic()
                total += len(content)
                if total > self._limit:
                    raise ReplyTooLargeError(self._limit)
            return content

        return bounded


def _arrival(question: str, future: Future[Message]) -> Arrival:
    error = future.exception()
    if isinstance(error, StalledReplyError):
        return Arrival(question, None, str(error), lost=True)
    if error is not None:
        return Arrival(question, None, f"the reply cannot be read: {type(error).__name__}: {error}"[:300])
    message = future.result()
    if message.metadata.reply_to_message_id != question:
        return Arrival(question, None, "the reply answers another message than the SuperLink says")
    return Arrival(question, message)
