"""buildah, with a storage of its own."""

from __future__ import annotations

import json
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from images.children import Children

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_ENVIRONMENT: Final = {"STORAGE_DRIVER": "overlay", "BUILDAH_ISOLATION": "chroot"}
_TAIL: Final = 20


class BuildahError(Exception):
    """buildah failed; carries its command line and the end of what it said."""

    def __init__(self, command: tuple[str, ...], code: int, said: str) -> None:
        tail = "\n".join(said.splitlines()[-_TAIL:])
        super().__init__(f"buildah {' '.join(command)} ended with {code}:\n{tail}")
        self.command = command
        self.code = code


@dataclass(frozen=True, slots=True)
class Buildah:
    """All images and layers lie in ``storage``; logs of builds in ``logs``."""

    storage: Path
    logs: Path
    children: Children = field(default_factory=Children)

    def run(self, *arguments: str) -> str:
        """What it prints. Raises BuildahError."""
        answer = self.children.run(self._command(arguments), _ENVIRONMENT)
        if answer.returncode:
            raise BuildahError(arguments, answer.returncode, answer.stderr)
        return answer.stdout.strip()

    def build(
        self, tag: str, context: Path, dockerfile: Path, *, arguments: Mapping[str, str], options: tuple[str, ...]
    ) -> None:
        """Build with cached layers; the log is ``logs/TAG.log``."""
        given = [f"--build-arg={name}={value}" for name, value in arguments.items()]
        command = (
            "bud",
            "--layers",
            "--network=host",
            *options,
            *given,
            f"--file={dockerfile}",
            f"--tag={tag}",
            str(context),
        )
        log = self.logs / f"{tag.rsplit('/', 1)[-1].partition(':')[0]}.log"
        with log.open("wb") as out:
            code = self.children.run(self._command(command), _ENVIRONMENT, out).returncode
        if code:
            raise BuildahError(command, code, log.read_text(errors="replace"))

    def has(self, tag: str) -> bool:
        """Whether the image lies in the storage."""
        try:
            self.run("inspect", "--type=image", tag)
        except BuildahError:
            return False
        return True

    def config(self, tag: str) -> dict[str, Any]:
        """The image's ``config``, as the OCI's specification of images has it."""
        config: dict[str, Any] = json.loads(self.run("inspect", "--type=image", tag))["OCIv1"]["config"]
        return config

    def identity(self, tag: str) -> str:
        """The digest of all that the image is."""
        identity: str = json.loads(self.run("inspect", "--type=image", tag))["FromImageID"]
        return identity

    def clear(self) -> None:
        """Unmount and remove what builds and looks into images have left; for who is alone with the storage."""
        replace(self, children=Children()).run("rm", "--all")  # also after those of now were stopped

    @contextmanager
    def mounted(self, tag: str) -> Iterator[Path]:
        """The image's files, as long as the context lasts."""
        container = self.run("from", "--pull-never", tag)
        try:
            yield Path(self.run("mount", container))
        finally:
            self.run("rm", container)

    def _command(self, arguments: tuple[str, ...]) -> list[str]:
        return ["buildah", f"--root={self.storage / 'root'}", f"--runroot={self.storage / 'run'}", *arguments]
