"""A training with two clients that have leaves, another training, and a manifest."""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from shieldwall.contract.identity import Federation, Identity
from shieldwall.contract.records import OpenRound
from shieldwall.pki.authority import Authority, new_issuer, new_root
from shieldwall.pki.leaf import LeafRequest, issue
from shieldwall.pki.pem import certificates_to_pem, private_key_to_pem
from shieldwall.pki.serials import new_serial
from shieldwall.runtime.attestation.leaf_files import Leaf
from shieldwall.runtime.attestation.manifest import ArrayEntry, Manifest

if TYPE_CHECKING:
    from pathlib import Path

NOW = datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC)


@dataclass(frozen=True)
class Site:
    now: datetime
    federation: Federation
    issuer: Authority
    manifest: Manifest

    def identity(self, client: str = "berlin") -> Identity:
        return self.federation.client(client)

    def leaf(self, identity: Identity | None = None, issuer: Authority | None = None) -> Leaf:
        key, identity = ec.generate_private_key(ec.SECP256R1()), identity or self.identity()
        names = ("server.svc",) if identity.role == "server" else ()
        request = LeafRequest(identity, names, timedelta(hours=24))
        issuer = issuer or self.issuer
        certificate = issue(issuer, request, key.public_key(), new_serial(os.urandom), self.now)
        return Leaf(certificate, key, certificates_to_pem([certificate, issuer.certificate]).encode())

    def open_round(self, **changes: object) -> OpenRound:
        manifest = self.manifest
        fields = {
            "run_id": str(manifest.run_id),
            "round": manifest.round,
            "attempt": manifest.attempt,
            "nonce": manifest.nonce.hex(),
            "base_sha256": manifest.base_sha256.hex(),
            "clients": ("berlin", "leipzig"),
            "opened": 1.0,
        }
        return OpenRound(**{**fields, **changes})

    @staticmethod
    def write(leaf: Leaf, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        (directory / "tls.crt").write_bytes(leaf.chain)
        (directory / "tls.key").write_text(private_key_to_pem(leaf.key))


def new_authority(federation: Federation) -> Authority:
    root = new_root("test", ec.generate_private_key(ec.SECP256R1()), new_serial(os.urandom), NOW)
    return new_issuer(root, federation, ec.generate_private_key(ec.SECP256R1()), new_serial(os.urandom), NOW)


@pytest.fixture(scope="session")
def site() -> Site:
    federation = Federation("example.org", "demo", "digits")
    manifest = Manifest(
        federation_uid="8f14e45f",
        run_id=2**63 + 5,
        round=7,
        attempt=2,
        node_id=2**64 - 1,
        nonce=bytes(range(32)),
        base_sha256=b"\x01" * 32,
        reply_to="message-1",
        num_examples=120,
        arrays=(
            ArrayEntry("arrays", "bias", "float32", (10,), 168, b"\x02" * 32),
            ArrayEntry("arrays", "weight", "float32", (64, 10), 2688, b"\x03" * 32),
        ),
        records_sha256=b"\x04" * 32,
    )
    return Site(NOW, federation, new_authority(federation), manifest)


@pytest.fixture(scope="session")
def stranger(site) -> Authority:
    """The issuing CA of an unrelated installation for a training of the very same name."""
    return new_authority(site.federation)
