"""A Sight, and what several parts of the status read out of it in the same way."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from shieldwall.contract.records import Phase
from shieldwall.control.api.status import ConditionStatus
from shieldwall.control.plan.names import Names
from shieldwall.control.status.sight import INVALID_SPEC
from shieldwall.control.status.text import moment

if TYPE_CHECKING:
    from collections.abc import Mapping

    from shieldwall.contract.records import ClientStatus
    from shieldwall.control.status.leaves import Leaf
    from shieldwall.control.status.sight import Sight
    from shieldwall.control.steward.sight import StewardSight

SUSPENDED: Final = "Suspended"
UNREACHABLE_AFTER: Final = timedelta(seconds=60)
"""So long may a steward be silent before what it said no longer counts."""
FORGOTTEN_AFTER: Final = timedelta(seconds=180)
"""The same when nobody says that it is silent: a sight is told anew at least once a minute while it is followed."""
STARTS_WITHIN: Final = timedelta(minutes=5)
"""So long may a server take to start before that is worth a warning: its image is fetched, its volume made."""
SERVER_NOT_READY: Final = "ServerNotReady"
STEWARD_UNREACHABLE: Final = "StewardUnreachable"
OUT_OF_REACH: Final = frozenset({SERVER_NOT_READY, STEWARD_UNREACHABLE})
"""Reasons of Ready for which nothing is trained though all of the spec was made."""


@dataclass(frozen=True, slots=True)
class View:
    """One training as it is summarised."""

    sight: Sight
    leaves: tuple[Leaf, ...]
    """Every leaf that is wanted: the server's, the aggregator's, the clients'."""

    @property
    def names(self) -> Names:
        """Names of the training's objects."""
        return Names(self.sight.training.name)

    @property
    def last(self) -> StewardSight | None:
        """What was seen of the steward last, however old."""
        return self.sight.steward

    @property
    def fresh(self) -> StewardSight | None:
        """What is seen of the steward now."""
        return fresh(self.sight)

    @property
    def was_seen(self) -> bool:
        """Whether somebody heard the steward before this operator, which has not yet, was started."""
        previous = self.sight.previous
        return previous is not None and previous.phase not in {None, Phase.STARTING.value, SUSPENDED}

    @property
    def starting(self) -> bool:
        """Whether a server of which nothing is heard is to be given time: it was not there before, or was suspended.

        Once it was out of reach it stays so, or the reason would flap.
        """
        if self.sight.previous is None:
            return self.last is None
        ready = next((each for each in self.sight.previous.conditions if each.type == "Ready"), None)
        if ready is None:
            return True
        if ready.status is ConditionStatus.TRUE:
            return ready.reason == SUSPENDED
        since = moment(ready.last_transition_time)
        return ready.reason not in OUT_OF_REACH and since is not None and self.sight.now - since < STARTS_WITHIN

    @property
    def server_ready(self) -> bool:
        """Whether the server pod is, so that its steward should answer."""
        server = self.sight.workloads.get(self.names.server)
        return server is not None and 0 < server.wanted <= server.ready

    @property
    def paused(self) -> bool:
        """Whether nothing but status is written."""
        return self.sight.training.paused

    @property
    def refused(self) -> bool:
        """Whether the spec that stands is invalid, so that the training is seen by the one that was accepted last."""
        trouble = self.sight.trouble
        return trouble is not None and trouble.reason == INVALID_SPEC

    @property
    def suspended(self) -> bool:
        """Whether no pod is wanted."""
        return self.sight.training.spec.suspend

    @property
    def acted_on(self) -> bool:
        """Whether the spec was ever acted on, or refused: not when it was changed during a pause."""
        previous, training = self.sight.previous, self.sight.training
        return (
            not self.paused
            or self.refused
            or (previous is not None and previous.observed_generation == training.generation)
        )

    @property
    def observed_generation(self) -> int | None:
        """What status says it is about: during a pause, the generation that was last acted on."""
        if self.acted_on:
            return self.sight.training.generation
        return self.sight.previous.observed_generation if self.sight.previous is not None else None

    @property
    def released(self) -> int | None:
        """The last released round; as status has it when the steward was not asked yet."""
        if self.last is not None:
            return max(self.last.status.round, 0)
        return self.sight.previous.round if self.sight.previous is not None else None

    @property
    def progress(self) -> str:
        """The same in a sentence; changes once a round."""
        rounds = self.sight.training.spec.rounds.count
        return f"Round {self.released} of {rounds} is released." if self.released else f"No round of {rounds} yet."

    @property
    def ended(self) -> Phase | None:
        """Completed or Failed, if that was the last word of the steward."""
        phase = self.last.status.phase if self.last is not None else None
        return phase if phase in {Phase.COMPLETED, Phase.FAILED} else None

    def clients(self) -> Mapping[str, ClientStatus]:
        """What the steward said last of the clients that the spec names."""
        if self.last is None:
            return {}
        return {client.name: client for client in self.last.status.clients}


def fresh(sight: Sight) -> StewardSight | None:
    """What is seen of the steward now; None when it was silent for a minute, or when no server is wanted."""
    steward = sight.steward
    server = sight.workloads.get(Names(sight.training.name).server)
    if steward is None or (server is not None and server.wanted == 0):
        return None
    limit = FORGOTTEN_AFTER if steward.reachable else UNREACHABLE_AFTER
    return steward if sight.now - steward.seen <= limit else None
