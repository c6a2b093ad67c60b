import base64
import datetime as dt
import itertools
import textwrap

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from shieldwall.contract.identity import Federation
from shieldwall.control.issuing.contents import authority_files, certificate_files, root_files
from shieldwall.control.issuing.randomness import Randomness
from shieldwall.pki.authority import Authority
from shieldwall.pki.leaf import LeafRequest
from shieldwall.pki.pem import certificates_from_pem

NOW = dt.datetime(2026, 3, 1, 12, tzinfo=dt.UTC)
DAY = dt.timedelta(days=1)


@pytest.fixture
def now():
    return NOW


@pytest.fixture
def federation():
    return Federation("cluster.local", "fed", "digits")


@pytest.fixture
def random():
    """Real keys, and octets that count."""
    number = itertools.count(1)
    return Randomness(lambda: ec.generate_private_key(ec.SECP256R1()), lambda n: next(number).to_bytes(n, "big"))


@pytest.fixture
def root(now, random):
    files = root_files("a root", now, random)
    return Authority.from_pem(files["tls.crt"], files["tls.key"])


@pytest.fixture
def new_issuer(root, federation, now, random):
    """An issuing CA for leaves of a given life, made at a given time."""

    def make(leaf_lifetime=DAY, when=now):
        files = authority_files(root, federation, leaf_lifetime, when, random)
        return Authority.from_pem(files["tls.crt"], files["tls.key"])

    return make


@pytest.fixture
def leaf_files(new_issuer, federation, now, random):
    """The files of a client's leaf, and of the server's."""

    def make(issuer=None, identity=None):
        who = identity or federation.client("berlin")
        names = () if identity is None else ("digits-server.fed.svc",)
        return certificate_files(issuer or new_issuer(), LeafRequest(who, names, DAY), now, random)

    return make


@pytest.fixture(scope="module")
def flipping():
    """A leaf, and its files with one bit of its DER turned."""
    random = Randomness()
    federation = Federation("cluster.local", "fed", "digits")
    files = root_files("a root", NOW, random)
    root = Authority.from_pem(files["tls.crt"], files["tls.key"])
    files = authority_files(root, federation, DAY, NOW, random)
    issuer = Authority.from_pem(files["tls.crt"], files["tls.key"])
    good = certificate_files(issuer, LeafRequest(federation.client("berlin"), (), DAY), NOW, random)
    leaf = certificates_from_pem(good["tls.crt"])[0]

    def flip(position, bit):
        der = bytearray(leaf.public_bytes(serialization.Encoding.DER))
        der[int(position * len(der))] ^= 1 << bit
        text = textwrap.fill(base64.b64encode(der).decode(), 64).encode()
        pem = b"-----BEGIN CERTIFICATE-----\n" + text + b"\n-----END CERTIFICATE-----\n"
        return good | {"tls.crt": pem + good["ca.crt"]}

    return leaf, flip
