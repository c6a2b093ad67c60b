"""A round that too few replies were admitted to: how often it is tried again, and when."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from shieldwall.contract.policy import TooFewReplies
from shieldwall.runtime.federation.members import members

if TYPE_CHECKING:
    from collections.abc import Mapping

    from shieldwall.runtime.federation.conclusion import Conclusion
    from shieldwall.runtime.federation.engine import Engine

MOST_ATTEMPTS: Final = 5
_WAIT_SECONDS: Final = 1.0


class RoundNotReachedError(Exception):
    """A round found too few replies in all its attempts; ``round`` and ``reason`` say where and why."""

    def __init__(self, round_: int, attempts: int, reason: str) -> None:
        super().__init__(f"round {round_} was tried {attempts} times: {reason}")
        self.round = round_
        self.reason = reason


def is_over(engine: Engine, conclusion: Conclusion) -> bool:
    """Whether the round ends with this attempt: with a model, or by the policy without one."""
    return conclusion.model is not None or engine.policy.rounds.on_too_few_replies is TooFewReplies.SKIP


def wait_for_clients(engine: Engine) -> Mapping[int, str]:
    """Who is online: waits, as long as a round may take, until enough clients are to make one possible."""
    rounds = engine.policy.rounds
    end = engine.clock.monotonic() + rounds.timeout_seconds
    while True:
        online = members(engine.grid.get_nodes(), engine.policy)
        if len(online) >= rounds.min_replies or engine.clock.monotonic() >= end:
            return online
        engine.clock.sleep(_WAIT_SECONDS)
