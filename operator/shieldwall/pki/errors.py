"""Why a key, a request or an issuer is refused; what is wrong with a certificate is told in ``verify``."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime


class RefusedRequestError(ValueError):
    """What was asked for is outside the profile; ``field`` names the argument to change."""

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(f"{field}: {reason}")
        self.field = field
        self.reason = reason


class UnsupportedKeyError(ValueError):
    """A key is not of the one kind in use, ECDSA P-256."""

    def __init__(self, found: str) -> None:
        super().__init__(f"the key must be ECDSA P-256, not {found}")
        self.found = found


class MalformedPemError(ValueError):
    """A text does not hold the PEM block that was looked for; it is never quoted, it may be a key."""

    def __init__(self, wanted: str) -> None:
        super().__init__(f"not a PEM of {wanted}")
        self.wanted = wanted


class KeyMismatchError(ValueError):
    """A certificate and a private key do not belong together; ``serial`` is the certificate's."""

    def __init__(self, serial: int) -> None:
        super().__init__(f"the key is not that of certificate {serial:x}")
        self.serial = serial


class IssuerNotValidError(ValueError):
    """The issuer is not valid now, so nothing it signs would be; it has to be replaced first."""

    def __init__(self, not_before: datetime, not_after: datetime, now: datetime) -> None:
        super().__init__(f"the issuer is valid from {not_before:%FT%TZ} to {not_after:%FT%TZ}, not at {now:%FT%TZ}")
        self.not_before = not_before
        self.not_after = not_after


class WrongIssuerError(ValueError):
    """An issuer was asked to sign for a training that is not its own."""

    def __init__(self, issuer: str, wanted: str) -> None:
        super().__init__(f"the issuer of {issuer} cannot sign for {wanted}")
        self.issuer = issuer
        self.wanted = wanted
