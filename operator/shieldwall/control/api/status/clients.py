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
    """One word, the worst first: banned, refused, suspected (of free-riding), outvoted, absent (no reply in the last
    round), offline."""
    message: Text | None = None
    """Why, in a sentence."""
    admitted: Count = 0
    """Replies that were admitted."""
    refused: Count = 0
    """Replies that were refused."""
    strikes: Count = 0
    """Rounds that showed it free-riding, less those that did not."""
    innovation: Annotated[float, Field(ge=0, le=1)] | None = None
    """Moving share of what its updates say anew that is borne out by the others."""


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
    unknown_requests: Annotated[
        tuple[Annotated[str, Field(max_length=63)], ...],
        Field(max_length=WORST_CLIENTS),
    ] = ()
    """Annotations reinstate.shieldwall.dev/<client> that are not understood: no such client, or no nonce."""
