"""One installation with two trainings, made once."""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from shieldwall.contract.identity import Federation, Identity, Role
from shieldwall.pki.authority import Authority, new_issuer, new_root
from shieldwall.pki.leaf import LeafRequest, issue
from shieldwall.pki.serials import new_serial

if TYPE_CHECKING:
    from cryptography import x509

NOW = datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC)


def new_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


@dataclass(frozen=True)
class World:
    now: datetime
    digits: Federation
    root: Authority
    issuer: Authority
    other_issuer: Authority
    key: ec.EllipticCurvePrivateKey

    def identity(self, role: Role) -> Identity:
        return Identity(self.digits, role, "berlin" if role is Role.CLIENT else None)

    def request(self, role: Role, lifetime: timedelta = timedelta(hours=24)) -> LeafRequest:
        names = ("digits-server.demo.svc", "digits-server") if role is Role.SERVER else ()
        return LeafRequest(self.identity(role), names, lifetime)

    def leaf(self, role: Role, now: datetime = NOW, lifetime: timedelta = timedelta(hours=24)) -> x509.Certificate:
        return issue(self.issuer, self.request(role, lifetime), self.key.public_key(), self.serial(), now)

    def serial(self) -> int:
        return new_serial(os.urandom)


@pytest.fixture(scope="session")
def world() -> World:
    digits, other = Federation("example.org", "demo", "digits"), Federation("example.org", "demo", "other")
    root = new_root("Shieldwall test", new_key(), new_serial(os.urandom), NOW)
    issuer = new_issuer(root, digits, new_key(), new_serial(os.urandom), NOW)
    other_issuer = new_issuer(root, other, new_key(), new_serial(os.urandom), NOW)
    return World(NOW, digits, root, issuer, other_issuer, new_key())
