"""The training's leaves: which there are, and which were seen in use."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from shieldwall.control.plan.names import Names
from shieldwall.control.status.view import fresh
from shieldwall.pki.renewal import renewal_time
from shieldwall.pki.serials import serial_text
from shieldwall.pki.validity import made_at

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from cryptography import x509

    from shieldwall.control.status.sight import Sight

LATE_AFTER: Final = timedelta(minutes=15)
"""So long may a new leaf lie in its Secret while the one before is in use. Pods are nudged at once, and a connection
that was made with the old one is closed within minutes."""


class Serving(StrEnum):
    """What was seen of a leaf in use."""

    SERVED = "served"
    """Its serial number was seen."""
    BEFORE = "before"
    """The one before it was seen, and there is still time."""
    LATE = "late"
    """The one before it was seen, long after it was issued."""
    UNSEEN = "unseen"
    """Its holder has shown no certificate yet."""
    UNKNOWN = "unknown"
    """Nobody looks: the steward does not answer."""


@dataclass(frozen=True, slots=True)
class Leaf:
    """One leaf that is wanted."""

    subject: str
    """``server``, ``aggregator`` or ``client/berlin``."""
    secret: str
    certificate: x509.Certificate | None
    """None when it is not issued yet."""
    serving: Serving

    @property
    def serial(self) -> str:
        """Lower-case hex; empty when it is not issued yet."""
        return serial_text(self.certificate.serial_number) if self.certificate is not None else ""

    def renewal(self, issuer: x509.Certificate | None) -> datetime | None:
        """When it is renewed; None when it ends with its issuer, so that nothing would be won."""
        if self.certificate is None or issuer is None:
            return None
        gains = issuer.not_valid_after_utc > self.certificate.not_valid_after_utc
        return renewal_time(self.certificate) if gains else None

    def expired(self, now: datetime) -> bool:
        """Whether it has ended."""
        return self.certificate is not None and now > self.certificate.not_valid_after_utc


def leaves_of(sight: Sight) -> tuple[Leaf, ...]:
    """Every leaf that is wanted, the server's first."""
    seen = _serials(sight)
    return tuple(_leaf(sight, subject, secret, seen) for subject, secret in _wanted(sight))


def _wanted(sight: Sight) -> Iterator[tuple[str, str]]:
    names = Names(sight.training.name)
    yield "server", names.server_tls
    yield "aggregator", names.aggregator_tls
    for client in sight.training.spec.clients:
        yield f"client/{client.name}", names.client_tls(client.name)


def _serials(sight: Sight) -> dict[str, str | None] | None:
    """Serial numbers that were seen in use, by subject; None while nobody looks."""
    steward = fresh(sight)
    if steward is None:
        return None
    clients = {f"client/{client.name}": client.serial for client in steward.status.clients}
    return {
        "server": steward.server_serial,
        "aggregator": steward.status.aggregator_serial,
        **clients,
    }


def _leaf(sight: Sight, subject: str, secret: str, seen: dict[str, str | None] | None) -> Leaf:
    certificate = sight.observed.leaves.get(secret)
    return Leaf(subject, secret, certificate, _serving(certificate, subject, seen, sight.now))


def _serving(
    certificate: x509.Certificate | None, subject: str, seen: dict[str, str | None] | None, now: datetime
) -> Serving:
    if certificate is None or seen is None:
        return Serving.UNKNOWN
    serial = seen.get(subject)
    if not serial:
        return Serving.UNSEEN
    if serial == serial_text(certificate.serial_number):
        return Serving.SERVED
    return Serving.LATE if now - made_at(certificate) > LATE_AFTER else Serving.BEFORE
