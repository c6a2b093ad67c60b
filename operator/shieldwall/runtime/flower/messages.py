"""What Shieldwall adds to Flower's messages: the round's facts on the way out, a seal on the way back.

Both are ConfigRecords beside the app's own records; the user's code sees neither.
"""

from __future__ import annotations

from dataclasses import dataclass
from io import BytesIO
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from flwr.app import ArrayRecord, ConfigRecord, RecordDict

from shieldwall.runtime.attestation.digest import records_digest, tree_digest
from shieldwall.runtime.attestation.manifest import ArrayEntry, Manifest, sorted_entries
from shieldwall.runtime.attestation.sign import Attestation
from shieldwall.runtime.flower.packing import MalformedArraysError, parts

if TYPE_CHECKING:
    from collections.abc import Mapping

    from flwr.app import Array
    from numpy.typing import NDArray

    from shieldwall.runtime.flower.packing import Part

ROUND_KEY: Final = "shieldwall.round"
SEAL_KEY: Final = "shieldwall.seal"
ARRAYS_KEY: Final = "arrays"
CONFIG_KEY: Final = "config"
EXAMPLES_KEY: Final = "num-examples"
"""Names by Flower's custom (its strategies' defaults)."""

_NPY: Final = "numpy.ndarray"
_HEADER_BYTES: Final = 4096


@dataclass(frozen=True, slots=True)
class RoundFacts:
    """Which round a message belongs to; what a reply is signed for."""

    federation_uid: str
    run_id: str
    round: int
    attempt: int
    nonce: str
    base_sha256: str

    def to_record(self) -> ConfigRecord:
        """As it travels."""
        return ConfigRecord(
            {
                "federation-uid": self.federation_uid,
                "run-id": self.run_id,
                "round": self.round,
                "attempt": self.attempt,
                "nonce": self.nonce,
                "base-sha256": self.base_sha256,
            }
        )

    @classmethod
    def from_record(cls, record: ConfigRecord) -> RoundFacts:
        """Read what ``to_record`` wrote; raises KeyError, ValueError."""
        return cls(
            str(record["federation-uid"]),
            str(record["run-id"]),
            int(str(record["round"])),
            int(str(record["attempt"])),
            str(record["nonce"]),
            str(record["base-sha256"]),
        )


def sealed(content: RecordDict) -> Attestation | None:
    """The seal of a reply, None if it has none; raises MalformedAttestationError."""
    record = content.get(SEAL_KEY)
    return None if record is None else Attestation.from_record(record if isinstance(record, ConfigRecord) else {})


def claimed_examples(content: RecordDict) -> int:
    """``num-examples`` as the client claims it; 0 when it claims nothing usable."""
    for record in content.metric_records.values():
        value = record.get(EXAMPLES_KEY)
        if isinstance(value, int | float) and 0 <= value < 2**63:
            return int(value)
    return 0


def manifest_of(content: RecordDict, facts: RoundFacts, node_id: int, reply_to: str) -> Manifest:
    """What a reply with ``content`` is signed as: every byte of every record but the seal."""
    return Manifest(
        federation_uid=facts.federation_uid,
        run_id=int(facts.run_id),
        round=facts.round,
        attempt=facts.attempt,
        node_id=node_id,
        nonce=bytes.fromhex(facts.nonce),
        base_sha256=bytes.fromhex(facts.base_sha256),
        reply_to=reply_to,
        num_examples=claimed_examples(content),
        arrays=sorted_entries(_entries(content)),
        records_sha256=records_digest(_values(content)),
    )


def _entries(content: RecordDict) -> list[ArrayEntry]:
    return [
        ArrayEntry(record, name, array.dtype, tuple(array.shape), len(array.data), tree_digest(array.data))
        for record, arrays in content.array_records.items()
        for name, array in arrays.items()
    ]


def _values(content: RecordDict) -> dict[str, Mapping[str, Any]]:
    """Metrics and configs by kind and name; the seal cannot cover itself."""
    metrics = {f"metric {name}": record for name, record in content.metric_records.items()}
    configs = {f"config {name}": record for name, record in content.config_records.items() if name != SEAL_KEY}
    return {**metrics, **configs}


def decode_array(array: Array | Part) -> NDArray[np.generic]:
    """The array without a copy: a read-only view on its bytes after the .npy header (NumPy format 1 to 3).

    Raises MalformedArraysError if the bytes are not exactly one C-ordered array of a plain number type, or if the
    header and Flower's own fields disagree.
    """
    if array.stype != _NPY:
        raise MalformedArraysError(f"array of serialisation {array.stype!r}, expected {_NPY}")
    data = memoryview(array.data)
    stream = BytesIO(data[:_HEADER_BYTES])
    try:
        version = np.lib.format.read_magic(stream)
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, fortran, dtype = read(stream, max_header_size=_HEADER_BYTES)
    except Exception as error:  # NumPy parses the header as Python, and hostile bytes raise whatever that can raise
        raise MalformedArraysError(f"not a NumPy array: {type(error).__name__}: {error}"[:200]) from error
    if not all(type(size) is int and size >= 0 for size in shape):
        raise MalformedArraysError("the array's shape is not of whole numbers")
    if dtype.hasobject or dtype.kind not in "fiub" or (fortran and len(shape) > 1):
        raise MalformedArraysError(f"an array of {dtype}, {'Fortran' if fortran else 'C'} order is not accepted")
    if tuple(array.shape) != shape or str(dtype) != array.dtype:
        raise MalformedArraysError("the array's header and Flower's fields disagree")
    expected = int(np.prod(shape, dtype=object)) * dtype.itemsize
    body = data[stream.tell() :]
    if len(body) != expected:
        raise MalformedArraysError(f"the array has {len(body)} bytes where its shape needs {expected}")
    try:
        return np.frombuffer(body, dtype=dtype).reshape(shape)
    except ValueError as error:  # no bytes, and a shape beyond all memory
        raise MalformedArraysError(f"the array's shape cannot be: {error}"[:200]) from error


def decode_packed(record: Mapping[str, Array]) -> dict[str, NDArray[np.generic]]:
    """All arrays of a pack, by name and in its order; raises MalformedArraysError."""
    return {part.name: decode_array(part) for part in parts(record)}


def only_arrays(content: RecordDict) -> tuple[str, ArrayRecord]:
    """Name and record of the one ArrayRecord; raises MalformedArraysError when there is not exactly one."""
    records = content.array_records
    if len(records) != 1:
        raise MalformedArraysError(f"the message has {len(records)} array records where one is expected")
    return next(iter(records.items()))
