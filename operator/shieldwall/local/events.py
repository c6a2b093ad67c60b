"""What happens in a run, for whoever shows it. One JSON object each, told apart by ``event``."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict

from shieldwall.contract.records import RoundRecord, StewardStatus
from shieldwall.local.outcome import RunOutcome


class _Event(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Began(_Event):
    """A run begins."""

    event: Literal["began"] = "began"
    training: str
    label: str
    rounds: int
    clients: tuple[str, ...]
    attackers: dict[str, str]
    """Kind of attack, by client."""
    directory: str


class Step(_Event):
    """A stage of the start, as a sentence: what is waited for."""

    event: Literal["step"] = "step"
    message: str


class Notice(_Event):
    """Something people should know, as a sentence."""

    event: Literal["notice"] = "notice"
    message: str


class Exited(_Event):
    """A container ended and will be started again."""

    event: Literal["exited"] = "exited"
    pod: str
    container: str
    code: int
    restarts: int
    log: str


class Renewed(_Event):
    """A certificate was replaced while the pods run."""

    event: Literal["renewed"] = "renewed"
    subject: str
    serial: str


class Progress(_Event):
    """What the steward says now."""

    event: Literal["status"] = "status"
    status: StewardStatus


class RoundClosed(_Event):
    """A round, or an attempt at one, is over."""

    event: Literal["round"] = "round"
    record: RoundRecord


class Ended(_Event):
    """The run is over."""

    event: Literal["ended"] = "ended"
    outcome: RunOutcome


Event = Began | Step | Notice | Exited | Renewed | Progress | RoundClosed | Ended
