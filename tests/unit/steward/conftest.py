"""A policy with three clients, their certificates as the proxy shows them, and a clock."""

from __future__ import annotations

import base64
import datetime as dt
from dataclasses import dataclass
from urllib.parse import quote

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from shieldwall.contract.policy import (
    AggregationPolicy,
    AppPolicy,
    ClientPolicy,
    FederationPolicy,
    RoundsPolicy,
    Rule,
    RuntimePolicy,
)
from shieldwall.pki.node_key import public_pem
from shieldwall.runtime.steward.flower import Node
from shieldwall.runtime.steward.office import Office

NOW = 1_800_000_000.0
CLIENTS = ("berlin", "paris", "rome")


@dataclass(frozen=True)
class Shown:
    """A certificate and the header in which the proxy shows it."""

    serial: int
    pem: str
    uris: tuple[str, ...]

    @property
    def xfcc(self) -> str:
        uris = "".join(f";URI={uri}" for uri in self.uris)
        return f'By=spiffe://example.org/server;Hash=ab12;Cert="{quote(self.pem, safe="")}"{uris}'


class World:
    """Makes what the tests of the steward need."""

    now = NOW
    clients = CLIENTS

    def __init__(self, keys: dict[str, ec.EllipticCurvePrivateKey]) -> None:
        self.keys = keys

    def policy(self, **rounds: int) -> RuntimePolicy:
        members = tuple(ClientPolicy(name=name, node_public_key=self.public(name).decode()) for name in CLIENTS)
        return RuntimePolicy(
            federation=FederationPolicy(uid="1", trust_domain="example.org", namespace="demo", name="digits"),
            app=AppPolicy(client_app="digits.client:app", config={"lr": 0.1}),
            rounds=RoundsPolicy(**{"count": 3, "min_replies": 2, "grace_seconds": 10} | rounds),
            aggregation=AggregationPolicy(rule=Rule.FED_AVG),
            clients=members,
        )

    def public(self, name: str) -> bytes:
        return public_pem(self.keys[name]).encode()

    def identity(self, name: str) -> str:
        return f"spiffe://example.org/ns/demo/training/digits/client/{name}"

    def nodes(self, *online: str) -> tuple[Node, ...]:
        return tuple(Node(101 + i, self.public(name), name in online) for i, name in enumerate(CLIENTS))

    def certificate(self, *uris: str, hours: float = 1) -> Shown:
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "leaf")])
        start = dt.datetime.fromtimestamp(NOW, dt.UTC)
        certificate = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(start - dt.timedelta(days=1))
            .not_valid_after(start + dt.timedelta(hours=hours))
            .add_extension(
                x509.SubjectAlternativeName([x509.UniformResourceIdentifier(uri) for uri in uris]), critical=False
            )
            .sign(key, hashes.SHA256())
        )
        pem = certificate.public_bytes(serialization.Encoding.PEM).decode()
        return Shown(certificate.serial_number, pem, uris)

    def headers(self, shown: Shown, key_of: str | None = "berlin") -> list[tuple[bytes, bytes]]:
        headers = [(b"host", b"server"), (b"x-forwarded-client-cert", shown.xfcc.encode())]
        if key_of is not None:
            headers.append((b"flwr-public-key", base64.b64encode(self.public(key_of))))
        return headers


@pytest.fixture(scope="session")
def world() -> World:
    return World({name: ec.generate_private_key(ec.SECP384R1()) for name in (*CLIENTS, "stranger")})


@pytest.fixture(scope="session")
def berlin(world) -> Shown:
    return world.certificate(world.identity("berlin"))


@pytest.fixture
def office(world, tmp_path) -> Office:
    books = Office(world.policy(), tmp_path)
    books.note_nodes(world.nodes())
    return books
