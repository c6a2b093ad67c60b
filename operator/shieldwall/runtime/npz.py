"""A model as a NumPy archive: the same model gives the same bytes, and no reader needs pickle."""

from __future__ import annotations

import hashlib
import zipfile
from typing import TYPE_CHECKING, Final, cast

import numpy as np

from shieldwall.runtime.model import Model

if TYPE_CHECKING:
    from pathlib import Path
    from typing import IO

    from shieldwall.runtime.durable import Sink
    from shieldwall.runtime.model import Array

_SUFFIX: Final = ".npy"


class ChecksumError(ValueError):
    """A file's content is not what was written."""

    def __init__(self, path: Path, expected: str, found: str) -> None:
        super().__init__(f"{path.name} has SHA-256 {found}, not {expected}")
        self.path, self.expected, self.found = path, expected, found


def write_npz(sink: Sink, model: Model) -> None:
    """Write the arrays in their order, uncompressed. No times: entries carry the format's earliest date."""
    with zipfile.ZipFile(cast("IO[bytes]", sink), "w", zipfile.ZIP_STORED) as archive:
        for name, array in model.arrays.items():
            with archive.open(zipfile.ZipInfo(name + _SUFFIX), "w", force_zip64=True) as entry:
                np.lib.format.write_array(entry, array, allow_pickle=False)


def read_npz(path: Path, sha256: str) -> Model:
    """Read a model back; raises ChecksumError unless the file's digest is ``sha256``, and OSError."""
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
        if found != sha256:
            raise ChecksumError(path, sha256, found)
        file.seek(0)
        with zipfile.ZipFile(file) as archive:
            return Model.of({name.removesuffix(_SUFFIX): _read(archive, name) for name in archive.namelist()})


def _read(archive: zipfile.ZipFile, name: str) -> Array:
    with archive.open(name) as entry:
        array: Array = np.lib.format.read_array(entry, allow_pickle=False)
        return array
