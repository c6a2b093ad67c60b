"""status.pki: the training's certificates."""

from typing import Annotated

from pydantic import Field

from shieldwall.control.api.fields import ApiModel
from shieldwall.control.api.status.words import Count, Time, Word

WORST_CERTIFICATES = 20


class Deadline(ApiModel):
    """Something that must have happened by a time."""

    subject: Annotated[str, Field(max_length=253)]
    """What: issuer, crl, server, client/berlin."""
    action: Word
    """What must happen: renew, publish."""
    due: Time
    """By when."""


class CertificateReport(ApiModel):
    """One leaf that needs a look, or is the next to be renewed."""

    subject: Annotated[str, Field(max_length=253)]
    """Whose: server, aggregator, client/berlin."""
    serial: Word
    """Its serial number, hexadecimal."""
    not_after: Time
    """When it ends."""
    renewal: Time
    """When it is to be renewed."""
    served: bool = False
    """Whether it was seen in use: false while an older one still is, or nobody has looked."""


class RenewalRequest(ApiModel):
    """A request for renewal, an annotation renew.shieldwall.dev/subject of the training, that was carried out."""

    subject: Annotated[str, Field(max_length=63)]
    """Whose certificate: all, server, aggregator or client.berlin."""
    nonce: Word
    """The annotation's value."""


class PkiStatus(ApiModel):
    """The training's certificates."""

    phase: Word | None = None
    """Where a rotation is: Stable, Prepared, Trusting, Switching, Draining or Emergency."""
    issuer: Word | None = None
    """Serial number of the issuing CA, hexadecimal."""
    served: Count = 0
    """Leaves that were seen in use."""
    total: Count = 0
    """Leaves that there are."""
    deadlines: Annotated[tuple[Deadline, ...], Field(max_length=8)] = ()
    """The next things that are due."""
    certificates: Annotated[
        tuple[CertificateReport, ...],
        Field(
            max_length=WORST_CERTIFICATES,
            json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["subject"]},
        ),
    ] = ()
    """The leaves that most need a look, and those that are renewed next."""
    requests: Annotated[
        tuple[RenewalRequest, ...],
        Field(
            max_length=WORST_CERTIFICATES,
            json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["subject"]},
        ),
    ] = ()
    """Requests for renewal that were carried out; of more than fit, those carried out last."""
    pending: Annotated[
        tuple[Annotated[str, Field(max_length=63)], ...],
        Field(max_length=WORST_CERTIFICATES, json_schema_extra={"x-kubernetes-list-type": "set"}),
    ] = ()
    """Whose requests for renewal are still to be carried out, as the subjects of requests."""
