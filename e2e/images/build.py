"""Build what changed, and put each image into a docker-archive."""

from __future__ import annotations

import shutil
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import TYPE_CHECKING

from images.catalogue import CATALOGUE, ROOT, SBOM_DIRECTORY
from images.fingerprint import fingerprint
from images.index import index_secrets

if TYPE_CHECKING:
    from concurrent.futures import Future
    from pathlib import Path

    from images.buildah import Buildah
    from images.catalogue import Image


@dataclass(frozen=True, slots=True)
class Built:
    """An image that lies in buildah's storage; waiting is not counted in ``seconds``."""

    image: Image
    fingerprint: str
    unchanged: bool
    seconds: float


@dataclass(frozen=True, slots=True)
class Written:
    """An image that lies in its archive; ``seconds`` were spent on building and writing it."""

    image: Image
    archive: Path
    unchanged: bool
    seconds: float


def build_all(buildah: Buildah, directory: Path, base: str) -> tuple[Written, ...]:
    """Bring all images into ``directory``, side by side where they may. Raises BuildahError."""
    built: dict[str, Future[Built]] = {}
    written = []
    with index_secrets() as secrets, ThreadPoolExecutor(2 * len(CATALOGUE)) as pool:
        shop = Shop(buildah, directory, base, secrets)
        try:
            for image in CATALOGUE:
                built[image.name] = pool.submit(shop.build, image, built[image.parent] if image.parent else None)
                written.append(pool.submit(shop.write, built[image.name]))
            wait(written)
        except KeyboardInterrupt:
            buildah.children.stop()  # the pool waits for its threads, and they for what they have started
            raise
    return tuple(each.result() for each in written)


@dataclass(frozen=True, slots=True)
class Shop:
    """Where images are built, on which base, and with which secrets."""

    buildah: Buildah
    directory: Path
    base: str
    secrets: tuple[str, ...]

    def build(self, image: Image, waiting: Future[Built] | None) -> Built:
        """The image in the storage, once its parent is there; built only when something has changed."""
        parent = waiting.result() if waiting else None
        start = time.monotonic()
        mark = fingerprint(ROOT, image.inputs, self.base, image.tag, parent.fingerprint if parent else "")
        if unchanged := self._is_there(image, mark):
            return Built(image, mark, unchanged, time.monotonic() - start)
        self._record(image).unlink(missing_ok=True)  # until all of it is there, nothing is
        arguments = {"BASE": self.base, "REVISION": _revision()}
        if parent is not None:
            arguments[image.parent_argument] = parent.image.tag
        self.buildah.build(
            image.tag, ROOT / image.context, ROOT / image.dockerfile, arguments=arguments, options=self.secrets
        )
        return Built(image, mark, unchanged, time.monotonic() - start)

    def write(self, waiting: Future[Built]) -> Written:
        """The image in its archive, with its SBOM beside it, once it is built."""
        built = waiting.result()
        start = time.monotonic()
        image, archive = built.image, self._archive(built.image)
        if not built.unchanged:
            part = archive.with_suffix(".part")
            part.unlink(missing_ok=True)  # one that is there would be refused
            self.buildah.run("push", "--quiet", image.tag, f"docker-archive:{part}:{image.tag}")
            part.rename(archive)
            self._write_sbom(image)
            self._record(image).write_text(built.fingerprint, encoding="ascii")
        return Written(image, archive, built.unchanged, built.seconds + time.monotonic() - start)

    def _is_there(self, image: Image, mark: str) -> bool:
        record = self._record(image)
        if not (self._archive(image).exists() and record.exists() and record.read_text(encoding="ascii") == mark):
            return False
        return self.buildah.has(image.tag)

    def _write_sbom(self, image: Image) -> None:
        if image.sbom:
            name = f"{image.name}.cdx.json"
            with self.buildah.mounted(image.tag) as files:
                shutil.copyfile(files / SBOM_DIRECTORY / name, self.directory / name)

    def _archive(self, image: Image) -> Path:
        return self.directory / f"{image.name}.tar"

    def _record(self, image: Image) -> Path:
        return self.directory / f"{image.name}.sha256"


def _revision() -> str:
    command = ["git", "-C", str(ROOT), "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603  # git
    return answer.stdout.strip() or "unknown"
