"""What trainer and signer say to each other, as JSON. Ids are decimal text and bytes hex, as in the contract."""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import Base64Bytes, BaseModel, ConfigDict, Field, StrictInt

from shieldwall.runtime.attestation.manifest import ArrayEntry, Manifest
from shieldwall.runtime.attestation.sign import Attestation
from shieldwall.runtime.attestation.signer import Refusal

SIGN: Final = "/v1/sign"
"""POST SignRequest: SignReply, or RefusalReply with 4xx (for good) or 503 (try again)."""
HEALTH: Final = "/healthz"
LEAF: Final = "/leaf"
"""GET: LeafReply of the leaf that would sign now, or RefusalReply with 503."""

_Id = Annotated[str, Field(pattern=r"^[0-9]{1,20}$")]
_Hex = Annotated[str, Field(pattern=r"^([0-9a-f]{2})*$")]


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ArrayBody(_Body):
    """An ArrayEntry."""

    record: str
    name: str
    dtype: str
    shape: tuple[StrictInt, ...]
    length: StrictInt
    sha256: _Hex


class SignRequest(_Body):
    """A Manifest's fields; the signer builds and encodes the manifest itself and never signs bytes it is given."""

    federation_uid: str
    run_id: _Id
    round: StrictInt
    attempt: StrictInt
    node_id: _Id
    nonce: _Hex
    base_sha256: _Hex
    reply_to: str
    num_examples: StrictInt
    arrays: tuple[ArrayBody, ...]
    records_sha256: _Hex

    @classmethod
    def of(cls, manifest: Manifest) -> SignRequest:
        """The request for ``manifest``."""
        return cls(
            federation_uid=manifest.federation_uid,
            run_id=str(manifest.run_id),
            round=manifest.round,
            attempt=manifest.attempt,
            node_id=str(manifest.node_id),
            nonce=manifest.nonce.hex(),
            base_sha256=manifest.base_sha256.hex(),
            reply_to=manifest.reply_to,
            num_examples=manifest.num_examples,
            arrays=tuple(_array_body(entry) for entry in manifest.arrays),
            records_sha256=manifest.records_sha256.hex(),
        )

    def manifest(self) -> Manifest:
        """The manifest that is asked for; raises ManifestError."""
        return Manifest(
            federation_uid=self.federation_uid,
            run_id=int(self.run_id),
            round=self.round,
            attempt=self.attempt,
            node_id=int(self.node_id),
            nonce=bytes.fromhex(self.nonce),
            base_sha256=bytes.fromhex(self.base_sha256),
            reply_to=self.reply_to,
            num_examples=self.num_examples,
            arrays=tuple(_array_entry(body) for body in self.arrays),
            records_sha256=bytes.fromhex(self.records_sha256),
        )


class SignReply(_Body):
    """An Attestation."""

    signature: Base64Bytes
    certificate_chain: Base64Bytes
    occasion: Base64Bytes
    content_sha256: Base64Bytes

    @classmethod
    def of(cls, attestation: Attestation) -> SignReply:
        """The reply that carries ``attestation``."""
        return cls.model_construct(  # the bytes are not in base64 yet
            signature=attestation.signature,
            certificate_chain=attestation.certificate_chain,
            occasion=attestation.occasion,
            content_sha256=attestation.content_sha256,
        )

    def attestation(self) -> Attestation:
        """What it carries."""
        return Attestation(self.signature, self.certificate_chain, self.occasion, self.content_sha256)


class RefusalReply(_Body):
    """Why not."""

    refusal: Refusal
    message: str


class LeafReply(_Body):
    """The leaf that the signer has loaded."""

    serial: str
    """Hex, without leading zeros."""
    not_after: float
    """Unix seconds."""


def _array_body(entry: ArrayEntry) -> ArrayBody:
    return ArrayBody(
        record=entry.record,
        name=entry.name,
        dtype=entry.dtype,
        shape=entry.shape,
        length=entry.length,
        sha256=entry.sha256.hex(),
    )


def _array_entry(body: ArrayBody) -> ArrayEntry:
    return ArrayEntry(body.record, body.name, body.dtype, body.shape, body.length, bytes.fromhex(body.sha256))
