"""buildah, with a storage of its own."""

from __future__ import annotations

import json
import os
import subprocess
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

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

    def run(self, *arguments: str) -> str:
        """What it prints. Raises BuildahError."""
        answer = subprocess.run(  # noqa: S603  # buildah
            self._command(arguments), env=os.environ | _ENVIRONMENT, capture_output=True, text=True, check=False
        )
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
            code = subprocess.run(  # noqa: S603  # buildah
                self._command(command), env=os.environ | _ENVIRONMENT, stdout=out, stderr=subprocess.STDOUT, check=False
            ).returncode
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
