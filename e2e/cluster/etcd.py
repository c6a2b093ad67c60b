"""etcd, the API server's store."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from harness.tools import binary

if TYPE_CHECKING:
    from pathlib import Path

    from .layout import Layout

URL: Final = "http://127.0.0.1:2379"
"""On the node's loopback, which only its own processes reach."""
_PEER: Final = "http://127.0.0.1:2380"


def command(layout: Layout) -> list[str | Path]:
    """The program and its flags. Raises MissingToolError."""
    return [
        binary("etcd"), f"--data-dir={layout.state / 'etcd'}", "--unsafe-no-fsync",  # lives no longer than the cluster
        f"--listen-client-urls={URL}", f"--advertise-client-urls={URL}",
        f"--listen-peer-urls={_PEER}", f"--initial-advertise-peer-urls={_PEER}", f"--initial-cluster=default={_PEER}",
    ]  # fmt: skip
