"""A node whose pods run on this machine: see ``pods``."""

from __future__ import annotations

import os
import signal
from contextlib import contextmanager
from typing import TYPE_CHECKING

from shieldwall.local.cluster.processes import descendants, snapshot

from .companion import Companion
from .process import program

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from .apiserver import ApiServer


class LocalNode(Companion):
    """Context manager: runs the pods of one training in ``namespace``, whose user code is imported from ``app``.

    Needs a ControllerManager. ``app`` and ``directory`` must be where other users may pass, or all pods run as the
    same user.
    """

    name = "local-node"

    def __init__(self, server: ApiServer, namespace: str, app: Path, directory: Path) -> None:
        super().__init__(server)
        self._namespace = namespace
        self._app = app
        self._directory = directory
        self._node = f"/api/v1/nodes/{self.name}-{namespace}"

    def __exit__(self, *_: object) -> None:
        """End all pods, then the node."""
        self.component.stop(60)
        self.server.request("DELETE", self._node)

    def _command(self) -> list[str | Path]:
        node = self._node.rpartition("/")[2]
        return [
            *program("pods"), "--name", node, "--namespace", self._namespace,
            "--kubeconfig", self.server.kubeconfig(node, ["system:masters"]),
            "--app", self._app, "--directory", self._directory,
        ]  # fmt: skip

    def _ready(self) -> bool:
        return bool((self._object(self._node) or {}).get("status", {}).get("conditions"))

    def claim(self, name: str) -> Path:
        """The volume behind a PersistentVolumeClaim."""
        return self._directory / "state" / "claims" / name

    def log(self, pod: str, container: str) -> str:
        """What a container wrote so far."""
        return (self._directory / "results" / "logs" / pod / f"{container}.log").read_text(errors="replace")

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Meanwhile no volume is brought up to date, nothing is probed or told; pods go on."""
        worker = next(entry.pid for entry in descendants(self.component.pid, snapshot()))
        os.kill(worker, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(worker, signal.SIGCONT)
