"""status.clients: the clients, counted."""

from typing import Annotated

from pydantic import Field

from shieldwall.control.api.fields import ApiModel
from shieldwall.control.api.status.words import Count, Text, Word

WORST_CLIENTS = 20


class ClientReport(ApiModel):
    """One client that needs a look."""

    name: Word
    """Name of the client."""
    state: Word
    """One word, the worst first: banned, refused, outvoted, absent (no reply in the last round), offline."""
    message: Text | None = None
    """Why, in a sentence."""
    admitted: Count = 0
    """Replies that were admitted."""
    refused: Count = 0
    """Replies that were refused."""


class ClientsStatus(ApiModel):
    """The clients, counted."""

    ready: Count = 0
    """Clients that are connected."""
    total: Count = 0
    """Clients of the spec."""
    banned: Count = 0
    """Clients that are shut out."""
    worst: Annotated[
        tuple[ClientReport, ...],
        Field(
            max_length=WORST_CLIENTS,
            json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]},
        ),
    ] = ()
    """The clients that most need a look."""
