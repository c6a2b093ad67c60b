"""A client runs one app: the one that its own copy of the policy names.

A SuperNode runs any FAB that a SuperLink sends. A FAB of Shieldwall is built from the policy alone and always has the
same bytes, so the trainer knows its digest and refuses any other before a byte of it is unpacked.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any, Final

from flwr.supernode.runtime import run_clientapp

if TYPE_CHECKING:
    from pathlib import Path

_UNPACK: Final = "install_from_fab"
"""The name by which a task calls what unpacks a FAB."""


class UnknownAppError(Exception):
    """A server sent another app than the policy's; ``sha256`` is what it sent."""

    def __init__(self, sha256: str, expected: str) -> None:
        super().__init__(f"refused to run an app with sha256 {sha256}: the policy's app has {expected}")
        self.sha256 = sha256
        self.expected = expected


def pin_app(expected: str) -> None:
    """Make this process's ClientApp tasks refuse every FAB but the one with this SHA-256 (hex).

    Flower has no hook for it: the one function by which a task unpacks a FAB is replaced, in this process alone.
    """
    unpack = getattr(run_clientapp, _UNPACK)

    def checked(fab_file: Path | bytes, *arguments: Any, **options: Any) -> Path:  # noqa: ANN401  # passed on as they are
        content = fab_file if isinstance(fab_file, bytes) else fab_file.read_bytes()
        if (sha256 := hashlib.sha256(content).hexdigest()) != expected:
            raise UnknownAppError(sha256, expected)
        unpacked: Path = unpack(content, *arguments, **options)
        return unpacked

    setattr(run_clientapp, _UNPACK, checked)
