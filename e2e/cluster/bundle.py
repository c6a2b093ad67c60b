"""Several docker-archives as one: what images have in common, such as the layers of their base, is in it once."""

from __future__ import annotations

import io
import json
import tarfile
from dataclasses import dataclass
from hashlib import sha256
from typing import IO, TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

_MANIFEST: Final = "manifest.json"


class NoArchiveError(RuntimeError):
    """A file is no docker-archive."""

    def __init__(self, path: Path, why: str) -> None:
        super().__init__(f"{path} is no docker-archive, as `docker save` and buildah's docker-archive: write it: {why}")
        self.path = path


@dataclass(frozen=True)
class Stored:
    """An image in a docker-archive."""

    archive: Path
    names: tuple[str, ...]
    configuration: bytes
    layers: tuple[tuple[str, str], ...]
    """Digest of each, and the file of the archive that it is."""

    @property
    def identity(self) -> str:
        """Digest of the configuration, in which the layers' digests are, and so of all of the image."""
        return f"sha256:{sha256(self.configuration).hexdigest()}"


def images(archive: Path) -> list[Stored]:
    """What lies in a docker-archive. Raises NoArchiveError or OSError."""
    try:
        with tarfile.open(archive) as tar:
            return [_stored(archive, tar, each) for each in json.loads(_content(tar, _MANIFEST))]
    except (tarfile.TarError, KeyError, ValueError) as error:
        raise NoArchiveError(archive, str(error)) from error


def write(wanted: Iterable[Stored], out: IO[bytes]) -> None:
    """Write these into one archive, which is not sought in."""
    manifest, there = [], set()
    with tarfile.open(fileobj=out, mode="w|") as tar:
        for image in wanted:
            configuration = f"{image.identity.partition(':')[2]}.json"
            _add(tar, configuration, len(image.configuration), io.BytesIO(image.configuration))
            names = [f"{digest.partition(':')[2]}.tar" for digest, _ in image.layers]
            manifest.append({"Config": configuration, "RepoTags": list(image.names), "Layers": names})
            with tarfile.open(image.archive) as source:
                for name, (digest, member) in zip(names, image.layers, strict=True):
                    if digest not in there:
                        there.add(digest)
                        _add(tar, name, *_opened(source, member))
        content = json.dumps(manifest).encode()
        _add(tar, _MANIFEST, len(content), io.BytesIO(content))


def _stored(archive: Path, tar: tarfile.TarFile, entry: dict[str, list[str]]) -> Stored:
    configuration = _content(tar, str(entry["Config"]))
    digests = json.loads(configuration)["rootfs"]["diff_ids"]
    return Stored(
        archive, tuple(entry["RepoTags"] or ()), configuration, tuple(zip(digests, entry["Layers"], strict=True))
    )


def _content(tar: tarfile.TarFile, name: str) -> bytes:
    return _opened(tar, name)[1].read()


def _opened(tar: tarfile.TarFile, name: str) -> tuple[int, IO[bytes]]:
    """Its size, and the file; links within the archive are followed."""
    file = tar.extractfile(name)
    if file is None:
        raise KeyError(f"{name} in it is no file")
    size = file.seek(0, io.SEEK_END)
    file.seek(0)
    return size, file


def _add(tar: tarfile.TarFile, name: str, size: int, content: IO[bytes]) -> None:
    entry = tarfile.TarInfo(name)
    entry.size = size
    tar.addfile(entry, content)
