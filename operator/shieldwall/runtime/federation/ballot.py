"""One attempt at a round: ask, collect until it may close, judge each reply."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from shieldwall.contract.records import Fate, ReplyRecord
from shieldwall.runtime.federation.judge import Admitted, Refused

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from datetime import datetime

    from shieldwall.contract.policy import RoundsPolicy
    from shieldwall.runtime.federation.judge import Asked, Court, Genuine
    from shieldwall.runtime.flower.inbox import Arrival
    from shieldwall.runtime.model import Model

POLL_SECONDS = 0.5
"""Each question costs the SuperLink a query of its database, and clients ask it for work every 3 s."""


class Source(Protocol):
    """Where replies come from (see shieldwall.runtime.flower.inbox)."""

    def poll(self, questions: Iterable[str]) -> list[Arrival]:
        """What has arrived in answer to ``questions`` (message ids) since the last call."""


class Clock(Protocol):
    """Time and waiting, as an argument."""

    def now(self) -> datetime:
        """The time of day, aware, UTC."""

    def monotonic(self) -> float:
        """Seconds that never go back."""

    def sleep(self, seconds: float) -> None:
        """Wait."""


@dataclass(frozen=True, slots=True)
class Reply:
    """A client's part in an attempt: who, when, and the verdict."""

    asked: Asked
    verdict: Admitted | Genuine | Refused
    seconds: float | None

    def record(self) -> ReplyRecord:
        """Without statistics: those need the round's aggregate."""
        refused = self.verdict if isinstance(self.verdict, Refused) else None
        return ReplyRecord(
            client=self.asked.client,
            node_id=str(self.asked.node_id),
            fate=refused.fate if refused else Fate.ADMITTED,
            detail=refused.detail if refused else "",
            seconds=self.seconds,
            num_examples=self.verdict.num_examples if isinstance(self.verdict, Admitted) else None,
            serial=None if isinstance(self.verdict, Refused) else self.verdict.serial,
        )


@dataclass(slots=True)
class Ballot:
    """Collects replies to ``questions`` (by message id) and knows when the round may close.

    It closes when everybody has answered, at ``timeout_seconds``, or ``grace_seconds`` after ``min_replies`` replies
    were found good: a silent client costs its own reply and the grace, nothing more.
    """

    court: Court
    base: Model | None
    """What updates are taken from; None where replies hold no update (evaluation)."""
    rounds: RoundsPolicy
    questions: Mapping[str, Asked]
    opened: float
    """On the monotonic clock."""
    every_reply_counts: bool = False
    """When enough have come does not depend on what is in them: also those that were refused count."""
    replies: dict[str, Reply] = field(default_factory=dict)
    _enough_at: float = math.inf

    @property
    def good(self) -> list[Reply]:
        """Replies that take part, in the order of their arrival."""
        return [reply for reply in self.replies.values() if not isinstance(reply.verdict, Refused)]

    def outstanding(self) -> list[str]:
        """Message ids that nobody answered yet."""
        return [question for question in self.questions if question not in self.replies]

    def closed(self, monotonic: float) -> bool:
        """Whether the round has to go on without the rest."""
        end = min(self.opened + self.rounds.timeout_seconds, self._enough_at + self.rounds.grace_seconds)
        return not self.outstanding() or monotonic >= end

    def receive(self, arrival: Arrival, now: datetime, monotonic: float) -> Reply:
        """Judge one arrival."""
        asked = self.questions[arrival.question]
        reply = Reply(asked, self.court.judge(arrival, asked, self.base, now), monotonic - self.opened)
        self.replies[arrival.question] = reply
        if len(self.replies if self.every_reply_counts else self.good) >= self.rounds.min_replies:
            self._enough_at = min(self._enough_at, monotonic)
        return reply

    def close(self) -> list[Reply]:
        """Everybody who was asked, in the order of the questions; who said nothing is on record too."""
        silent = Refused(Fate.NO_REPLY, "no reply came before the round closed")
        return [self.replies.get(question) or Reply(asked, silent, None) for question, asked in self.questions.items()]


def hold(ballot: Ballot, source: Source, clock: Clock, report: Callable[[Reply], None]) -> list[Reply]:
    """Run ``ballot`` to its end; ``report`` hears each reply as it is judged."""
    while not ballot.closed(clock.monotonic()):
        arrivals = source.poll(ballot.outstanding())
        for arrival in arrivals:
            report(ballot.receive(arrival, clock.now(), clock.monotonic()))
        if not arrivals:
            clock.sleep(POLL_SECONDS)
    return ballot.close()
