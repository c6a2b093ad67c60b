"""What was seen of a training's server pod, from outside."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime

    from shieldwall.contract.records import RoundRecord, StewardStatus


class Probe(StrEnum):
    """What became of an attempt that must fail."""

    REFUSED = "refused"
    """As it should be."""
    ADMITTED = "admitted"
    """It went through: the defence is not there."""
    UNKNOWN = "unknown"
    """Not tried yet, or the attempt says nothing."""


@dataclass(frozen=True, slots=True)
class StewardSight:
    """The steward's last answer and what the connection itself showed."""

    seen: datetime
    """When the steward last answered."""
    status: StewardStatus
    last_round: RoundRecord | None
    """The last released round."""
    server_serial: str
    """Serial number (hex) of the certificate that the server served on this connection."""
    without_certificate: Probe = Probe.UNKNOWN
    """A handshake with the same listener that showed no certificate."""
    closed_port: Probe = Probe.UNKNOWN
    """A connection to a port of the server that network policy does not open to the operator."""
    newest: RoundRecord | None = None
    """The last record, whatever came of the attempt: local privacy is spent also where nothing is released."""
    reachable: bool = True
    """False when later attempts failed; the rest is what was seen before."""
