"""Certificates and signatures of a federation in one process: the pods' own, without the pods."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from cryptography.hazmat.primitives.asymmetric import ec

from shieldwall.pki.authority import DEFAULT_LEAF_LIFETIME, new_issuer, new_root
from shieldwall.pki.leaf import LeafRequest, issue
from shieldwall.pki.pem import certificates_to_pem
from shieldwall.runtime.attestation.sign import Attestation, sign

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from shieldwall.contract.identity import Federation
    from shieldwall.runtime.attestation.manifest import Manifest

_FIRST_SERIAL: Final = 1000


@dataclass(frozen=True, slots=True)
class Signer:
    """One client's key and certificate."""

    key: ec.EllipticCurvePrivateKey = field(repr=False)
    chain: bytes
    """PEM, the leaf first."""

    def sign(self, manifest: Manifest) -> Attestation:
        """As the pod's signer does, without asking whether the round is open."""
        return sign(manifest, self.key, self.chain)


@dataclass(frozen=True, slots=True)
class Notary:
    """The issuing CA of a federation, and a signer for each client."""

    bundle: bytes
    """The issuing CA, PEM: what the aggregator trusts."""
    signers: dict[str, Signer]

    @classmethod
    def new(cls, federation: Federation, clients: Sequence[str], now: datetime) -> Notary:
        """Fresh keys for everybody; leaves valid from ``now``."""
        root = new_root("Shieldwall laboratory", _key(), 1, now)
        issuer = new_issuer(root, federation, _key(), 2, now)
        signers = {}
        for serial, name in enumerate(clients, _FIRST_SERIAL):
            key = _key()
            leaf = issue(
                issuer, LeafRequest(federation.client(name), (), DEFAULT_LEAF_LIFETIME), key.public_key(), serial, now
            )
            signers[name] = Signer(key, certificates_to_pem([leaf, issuer.certificate]).encode())
        return cls(certificates_to_pem([issuer.certificate]).encode(), signers)


def _key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())
