"""The files of each kind of Secret, made new."""

from __future__ import annotations

from typing import TYPE_CHECKING

from shieldwall.pki.authority import ISSUER_LIFETIME, LIFE_RATIO, Authority, new_issuer, new_root
from shieldwall.pki.leaf import LeafRequest, issue
from shieldwall.pki.node_key import node_key_to_openssh, public_pem
from shieldwall.pki.pem import certificates_to_pem, private_key_to_pem

if TYPE_CHECKING:
    from datetime import datetime, timedelta

    from shieldwall.contract.identity import Federation
    from shieldwall.control.issuing.randomness import Randomness
    from shieldwall.control.plan.orders import SharedSecretOrder

_SHARED_OCTETS = 32


def root_files(name: str, now: datetime, random: Randomness) -> dict[str, bytes]:
    """``tls.crt`` and ``tls.key`` of a new root CA; raises RefusedRequestError for a name above 64 characters."""
    return _own_files(new_root(name, random.new_key(), random.serial(), now))


def authority_files(
    root: Authority, federation: Federation, leaf_lifetime: timedelta, now: datetime, random: Randomness
) -> dict[str, bytes]:
    """``tls.crt`` and ``tls.key`` of a new issuing CA, with the root in ``ca.crt``.

    It lives at least 90 days and thrice as long as its leaves. Raises IssuerNotValidError or RefusedRequestError (of
    the root, when it ends too soon).
    """
    lifetime = max(ISSUER_LIFETIME, LIFE_RATIO * leaf_lifetime)
    key, serial = random.new_key(), random.serial()
    issuer = new_issuer(root, federation, key, serial, now, lifetime, leaf_lifetime=leaf_lifetime)
    return {**_own_files(issuer), "ca.crt": certificates_to_pem([root.certificate]).encode()}


def certificate_files(
    issuer: Authority, order_request: LeafRequest, now: datetime, random: Randomness
) -> dict[str, bytes]:
    """A leaf with a new key: ``tls.crt`` (leaf, issuing CA), ``tls.key``, and the issuing CA in ``ca.crt``.

    Raises WrongIssuerError or IssuerNotValidError.
    """
    key = random.new_key()
    leaf = issue(issuer, order_request, key.public_key(), random.serial(), now)
    ca = certificates_to_pem([issuer.certificate]).encode()
    chain = certificates_to_pem([leaf]).encode() + ca
    return {"tls.crt": chain, "tls.key": private_key_to_pem(key).encode(), "ca.crt": ca}


def node_key_files(random: Randomness) -> dict[str, bytes]:
    """A new Flower node key: ``node.key`` (OpenSSH) and ``node.pub`` (SubjectPublicKeyInfo PEM)."""
    key = random.new_key()
    return {"node.key": node_key_to_openssh(key).encode(), "node.pub": public_pem(key).encode()}


def shared_secret_files(order: SharedSecretOrder, random: Randomness) -> dict[str, bytes]:
    """32 random bytes in hexadecimal under the order's key."""
    return {order.key: random.octets(_SHARED_OCTETS).hex().encode()}


def _own_files(authority: Authority) -> dict[str, bytes]:
    pem = authority.to_pem()
    return {"tls.crt": pem.certificate.encode(), "tls.key": pem.key.encode()}
