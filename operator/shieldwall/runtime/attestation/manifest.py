"""The manifest of a reply: what exactly a client signs.

It has two halves. The occasion says for which federation, run, round, attempt, node, nonce, base model and question
the reply is; the content says what is in it. The receiver rebuilds both from what it knows and received and never
believes a manifest that it is sent; the halves are kept apart so that a replay can be told from a forgery.

Encoding: every field is preceded by its length (8 bytes, big-endian), numbers are decimal text, lists are one field
that holds their fields. So two different manifests never have the same bytes. The first field names the purpose.
A TLS 1.3 handshake signs 64 spaces first (RFC 8446, 4.4.3), this begins with a length: neither can pass as the other.
"""

from __future__ import annotations

import hashlib
import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from shieldwall.runtime.attestation.framing import frame, number, unframe

if TYPE_CHECKING:
    from collections.abc import Iterable

VERSION: Final = 1
DOMAIN: Final = b"shieldwall manifest v1"
DIGEST_BYTES: Final = 32
NONCE_BYTES: Final = 32
LIMIT: Final = 1 << 64
"""Flower's ids are unsigned and have 64 bits; nothing that is counted here is greater."""

OCCASION_FIELDS: Final = (
    "version",
    "federation_uid",
    "run_id",
    "round",
    "attempt",
    "node_id",
    "nonce",
    "base_sha256",
    "reply_to",
)


class ManifestError(ValueError):
    """A manifest cannot be what its field says; ``field`` names it."""

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(f"{field}: {reason}")
        self.field = field
        self.reason = reason


@dataclass(frozen=True, slots=True)
class ArrayEntry:
    """One array of a reply. Raises ManifestError."""

    record: str
    name: str
    dtype: str
    shape: tuple[int, ...]
    length: int
    """Bytes of the array's data as it was sent."""
    sha256: bytes
    """``tree_digest`` of these bytes."""

    def __post_init__(self) -> None:
        """Raise ManifestError naming the field."""
        _require_count("shape", *self.shape)
        _require_count("length", self.length)
        _require_bytes("sha256", self.sha256, DIGEST_BYTES)
        _require_text(record=self.record, name=self.name, dtype=self.dtype)


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """What a reply is for and what is in it. Raises ManifestError."""

    version: int = VERSION
    federation_uid: str
    run_id: int
    round: int
    attempt: int
    node_id: int
    nonce: bytes
    """32 bytes: what the aggregator drew for this attempt."""
    base_sha256: bytes
    """Digest of the model that the client started from."""
    reply_to: str
    """Id of the message that is answered."""
    num_examples: int
    """As the client claims."""
    arrays: tuple[ArrayEntry, ...]
    """By record and name, each once (see ``sorted_entries``)."""
    records_sha256: bytes
    """``records_digest`` of every other record of the reply."""

    def __post_init__(self) -> None:
        """Raise ManifestError naming the field."""
        if self.version != VERSION:
            raise ManifestError("version", f"{self.version} is not known")
        _require_count("run_id", self.run_id)
        _require_count("node_id", self.node_id)
        _require_count("round", self.round)
        _require_count("attempt", self.attempt)
        _require_count("num_examples", abs(self.num_examples))  # what a client claims may be negative
        _require_bytes("nonce", self.nonce, NONCE_BYTES)
        _require_bytes("base_sha256", self.base_sha256, DIGEST_BYTES)
        _require_bytes("records_sha256", self.records_sha256, DIGEST_BYTES)
        _require_text(federation_uid=self.federation_uid, reply_to=self.reply_to)
        keys = [(entry.record, entry.name) for entry in self.arrays]
        if any(left >= right for left, right in itertools.pairwise(keys)):
            raise ManifestError("arrays", "must be sorted by record and name, each once")


def sorted_entries(entries: Iterable[ArrayEntry]) -> tuple[ArrayEntry, ...]:
    """The order of a manifest; a name that stands twice in a record is left for Manifest to refuse."""
    return tuple(sorted(entries, key=lambda entry: (entry.record, entry.name)))


def encode(manifest: Manifest) -> bytes:
    """The bytes that are signed."""
    return statement(occasion(manifest), content_sha256(manifest))


def statement(occasion_bytes: bytes, content: bytes) -> bytes:
    """The same from the two halves, of which a signature's bearer sends both."""
    return frame(DOMAIN, occasion_bytes, content)


def occasion(manifest: Manifest) -> bytes:
    """What the reply is for: the fields of OCCASION_FIELDS, a few hundred bytes."""
    return frame(
        number(manifest.version),
        manifest.federation_uid.encode(),
        number(manifest.run_id),
        number(manifest.round),
        number(manifest.attempt),
        number(manifest.node_id),
        manifest.nonce,
        manifest.base_sha256,
        manifest.reply_to.encode(),
    )


def occasion_fields(data: bytes) -> dict[str, bytes]:
    """The fields of an occasion, to tell people in what two differ; raises FramingError."""
    return dict(zip(OCCASION_FIELDS, unframe(data), strict=False))


def content_sha256(manifest: Manifest) -> bytes:
    """Digest of what is in the reply."""
    arrays = frame(*(_entry(entry) for entry in manifest.arrays))
    return hashlib.sha256(frame(number(manifest.num_examples), arrays, manifest.records_sha256)).digest()


def _entry(entry: ArrayEntry) -> bytes:
    shape = frame(*(number(size) for size in entry.shape))
    names = (entry.record.encode(), entry.name.encode(), entry.dtype.encode())
    return frame(*names, shape, number(entry.length), entry.sha256)


def _require_count(field: str, *values: int) -> None:
    if any(not 0 <= value < LIMIT for value in values):
        raise ManifestError(field, "must not be negative or have more than 64 bits")


def _require_bytes(field: str, value: bytes, size: int) -> None:
    if len(value) != size:
        raise ManifestError(field, f"must have {size} bytes")


def _require_text(**fields: str) -> None:
    for field, value in fields.items():
        try:
            value.encode()
        except UnicodeEncodeError as error:  # a lone surrogate, which JSON may hold
            raise ManifestError(field, "must be text that UTF-8 can hold") from error
