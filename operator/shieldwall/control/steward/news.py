"""Which part of a steward's status is worth telling."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from shieldwall.contract.records import StewardStatus


def news_of(status: StewardStatus) -> StewardStatus:
    """The status without what changes at every request: nobody has to be told of that."""
    clients = tuple(client.model_copy(update={"last_seen": None}) for client in status.clients)
    denials = tuple(denial.model_copy(update={"last": 0.0}) for denial in status.denials)
    return status.model_copy(update={"clients": clients, "denials": denials})
