"""spec.identity: certificates and who issues them."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Annotated

from pydantic import Field

from shieldwall.control.api.fields import DURATION, ApiModel, ObjectName

SHORTEST_LIFE = timedelta(hours=1)
LONGEST_LIFE = timedelta(days=30)

_PARTS = re.compile(r"(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?")


class BuiltInIssuer(ApiModel):
    """The operator's own root."""


class SecretIssuer(ApiModel):
    """A root that was brought, in a Secret."""

    name: ObjectName
    """Name of the Secret with tls.crt and tls.key."""


class CertManagerIssuer(ApiModel):
    """A root that cert-manager signs with."""

    name: ObjectName
    """Name of the cert-manager Issuer."""


class Issuer(ApiModel):
    """Where the training's issuing CA comes from; the operator's own root when nothing is given."""

    built_in: BuiltInIssuer | None = None
    """The operator's own root."""
    secret: SecretIssuer | None = None
    """A root that was brought."""
    cert_manager: CertManagerIssuer | None = None
    """An issuer of cert-manager."""


class IdentityPolicy(ApiModel):
    """Certificates of the training's pods."""

    certificate_ttl: Annotated[str, Field(alias="certificateTTL", min_length=2, max_length=26, pattern=DURATION)] = (
        "24h"
    )
    """Life of each certificate, from 1h to 720h. It is renewed, with a new key, after two thirds of it."""
    issuer: Issuer = Issuer(builtIn=None, secret=None, certManager=None)
    """Where the training's issuing CA comes from."""

    @property
    def lifetime(self) -> timedelta:
        """The life of each certificate."""
        match = _PARTS.fullmatch(self.certificate_ttl)
        hours, minutes, seconds = (int(part or 0) for part in match.groups()) if match else (0, 0, 0)
        return timedelta(hours=hours, minutes=minutes, seconds=seconds)
