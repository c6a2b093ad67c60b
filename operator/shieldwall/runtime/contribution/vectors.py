"""Vectors in files, written and read a block at a time: no model is held twice."""

from __future__ import annotations

import math
from typing import IO, TYPE_CHECKING, Any, Final, cast

import numpy as np

from shieldwall.runtime.durable import write_file

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from shieldwall.runtime.durable import Sink
    from shieldwall.runtime.model import Model, Vector

_BLOCK: Final = 1 << 18
"""Coordinates."""


def blocks(model: Model) -> Iterator[tuple[slice, Vector]]:
    """The parameters in the order of ``flatten``, piece by piece: each with its place in the vector."""
    for spec, place in model.schema.slices():
        values = model.arrays[spec.name].reshape(-1)
        for start in range(0, values.size, _BLOCK):
            piece = values[start : start + _BLOCK].astype(model.schema.vector_dtype, copy=False)
            yield slice(place.start + start, place.start + start + piece.size), piece


def rounding_of(model: Model) -> float:
    """The length of what adding an update to the model may round off: ε|wᵢ| at most in each parameter wᵢ."""
    return math.sqrt(
        sum(
            (float(np.finfo(spec.dtype).eps) * _length(model.arrays[spec.name].reshape(-1))) ** 2
            for spec in model.schema.parameters
        )
    )


def _length(values: Vector) -> float:
    pieces = (values[start : start + _BLOCK].astype(np.float64) for start in range(0, values.size, _BLOCK))
    return math.sqrt(sum(float(piece @ piece) for piece in pieces))


def write_vector(path: Path, size: int, dtype: np.dtype[Any], pieces: Iterable[Vector]) -> None:
    """Write a ``.npy`` file of shape (size,) from its pieces, whole or not at all; raises OSError."""
    header = {"shape": (size,), "fortran_order": False, "descr": np.lib.format.dtype_to_descr(dtype)}

    def fill(sink: Sink) -> None:
        np.lib.format.write_array_header_1_0(cast("IO[bytes]", sink), header)
        for piece in pieces:
            sink.write(np.ascontiguousarray(piece).view(np.uint8).data)

    write_file(path, fill)


def mapped(path: Path, size: int, dtype: np.dtype[Any]) -> Vector | None:
    """The vector in a file, not read into memory; None when it is not one of (size,) and ``dtype``."""
    try:
        found = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError):
        return None
    return found if found.shape == (size,) and found.dtype == dtype else None
