"""Making and checking the signature of a manifest: ECDSA P-256 with SHA-256, by the key of the client's leaf."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from shieldwall.contract.identity import Identity, Role
from shieldwall.pki.errors import MalformedPemError
from shieldwall.pki.keys import require_p256
from shieldwall.pki.pem import certificates_from_pem
from shieldwall.pki.verify import verify_leaf
from shieldwall.runtime.attestation.framing import FramingError
from shieldwall.runtime.attestation.manifest import (
    Manifest,
    content_sha256,
    occasion,
    occasion_fields,
    statement,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from cryptography import x509

_ALGORITHM: Final = ec.ECDSA(hashes.SHA256())
_LARGEST: Final = 16 << 10
"""Bytes of any one part: nothing larger is parsed."""


class AttestationError(ValueError):
    """A reply is not what an honest client's signer attests."""


class MalformedAttestationError(AttestationError):
    """There are no readable parts to check."""


class WrongSignerError(AttestationError):
    """Somebody else of the training signed; ``identity`` is who."""

    def __init__(self, identity: Identity, expected: Identity) -> None:
        super().__init__(f"signed by {identity.uri} instead of {expected.uri}")
        self.identity = identity


class BadSignatureError(AttestationError):
    """The leaf's key did not sign this."""

    def __init__(self, reason: str = "the signature does not hold") -> None:
        super().__init__(reason)


class StaleError(AttestationError):
    """Truly signed, but for another occasion: a replay. ``fields`` names what differs."""

    def __init__(self, fields: tuple[str, ...], signed_round: str) -> None:
        super().__init__(f"signed for round {signed_round}; not for this {', '.join(fields)}")
        self.fields = fields
        self.signed_round = signed_round


class TamperedError(BadSignatureError):
    """Truly signed for this occasion, but not this content."""

    def __init__(self) -> None:
        super().__init__("the content is not what was signed")


@dataclass(frozen=True, slots=True)
class Attestation:
    """A signature with what is needed to check it and to say what is wrong."""

    signature: bytes
    """ECDSA, DER."""
    certificate_chain: bytes
    """PEM, the leaf first. Only the leaf counts; issuers come from the checker's own bundle."""
    occasion: bytes
    """The occasion that was signed (``manifest.occasion``)."""
    content_sha256: bytes
    """The digest of the content that was signed."""

    def to_record(self) -> dict[str, bytes]:
        """The parts by name, for a record of a message."""
        return {part: getattr(self, part) for part in _PARTS}

    @classmethod
    def from_record(cls, record: Mapping[str, object]) -> Attestation:
        """Read ``to_record``; raises MalformedAttestationError."""
        if set(record) != set(_PARTS):
            raise MalformedAttestationError(f"an attestation has the parts {', '.join(_PARTS)} and no other")
        parts = {part: value for part, value in record.items() if isinstance(value, bytes) and len(value) <= _LARGEST}
        if len(parts) != len(_PARTS):
            raise MalformedAttestationError(f"each part of an attestation has at most {_LARGEST} bytes")
        return cls(**parts)


_PARTS: Final = ("signature", "certificate_chain", "occasion", "content_sha256")


def sign(manifest: Manifest, key: ec.EllipticCurvePrivateKey, chain: bytes) -> Attestation:
    """Attest ``manifest`` with the key of the first certificate in ``chain`` (PEM)."""
    for_what, what = occasion(manifest), content_sha256(manifest)
    return Attestation(key.sign(statement(for_what, what), _ALGORITHM), chain, for_what, what)


def check(
    attestation: Attestation,
    manifest: Manifest,
    issuers: Sequence[x509.Certificate],
    now: datetime,
    expected: Identity,
) -> x509.Certificate:
    """Return the leaf by which ``expected`` signed ``manifest``, which the caller built from what it knows itself.

    Raises VerificationError (the leaf), or WrongSignerError, BadSignatureError, StaleError, TamperedError or
    MalformedAttestationError. They are tried in this order: only what was truly signed is told stale or tampered.
    """
    leaf = _leaf(attestation.certificate_chain)
    identity = verify_leaf(leaf, issuers, now, Role.CLIENT)
    if identity != expected:
        raise WrongSignerError(identity, expected)
    _require_signature(attestation, require_p256(leaf.public_key()))
    if attestation.occasion != occasion(manifest):
        raise _stale(attestation.occasion, occasion(manifest))
    if attestation.content_sha256 != content_sha256(manifest):
        raise TamperedError
    return leaf


def _leaf(chain: bytes) -> x509.Certificate:
    if len(chain) > _LARGEST:
        raise MalformedAttestationError("the certificate chain is too long")
    try:
        return certificates_from_pem(chain)[0]
    except MalformedPemError as error:
        raise MalformedAttestationError(str(error)) from error


def _require_signature(attestation: Attestation, key: ec.EllipticCurvePublicKey) -> None:
    signed = statement(attestation.occasion, attestation.content_sha256)
    try:
        key.verify(attestation.signature, signed, _ALGORITHM)
    except InvalidSignature as error:
        raise BadSignatureError from error


def _stale(signed: bytes, wanted: bytes) -> StaleError | MalformedAttestationError:
    try:
        theirs, ours = occasion_fields(signed), occasion_fields(wanted)
    except FramingError as error:  # a client may sign nonsense too
        return MalformedAttestationError(f"the signed occasion cannot be read: {error}")
    differing = tuple(field for field, value in ours.items() if theirs.get(field) != value)
    return StaleError(differing or ("number of fields",), theirs.get("round", b"?")[:20].decode("ascii", "replace"))
