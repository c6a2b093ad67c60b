"""One node that runs pods, up and down."""

from __future__ import annotations

import fcntl
import os
import shutil
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from harness.process import until
from harness.tools import binary

from . import cgroups, network, node, store
from .commands import require
from .components import Components
from .layout import Layout
from .namespaces import HOLDER
from .start import KUBELET, start

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .processes import Process

DEFAULT: Final = Path("/var/lib/shieldwall-e2e")
_BUILT: Final = (
    "coredns", "etcd", "kube-apiserver", "kube-controller-manager", "kube-proxy", "kube-scheduler", "kubeadm",
    "kubectl", "kubelet",
)  # fmt: skip
_INSTALLED: Final = (
    "/usr/lib/cni/ptp", "catatonit", "conntrack", "containerd", "containerd-shim-runc-v2", "ctr", "ip", "iptables",
    "nft", "nsenter", "runc", "sysctl", "unshare",
)  # fmt: skip


class NotRootError(PermissionError):
    """Namespaces, mounts and cgroups need root."""

    def __init__(self) -> None:
        super().__init__("a node is made of namespaces, mounts and cgroups: run this as root")


class NotRunningError(RuntimeError):
    """The cluster is not up."""

    def __init__(self, directory: Path) -> None:
        super().__init__(f"no cluster runs in {directory}; `up` starts one")
        self.directory = directory


class BrokenError(RuntimeError):
    """The cluster is up, but some of it has ended."""

    def __init__(self, directory: Path, dead: list[str]) -> None:
        super().__init__(
            f"the cluster in {directory} is up, but these have ended: {', '.join(dead)}; `down` ends the rest"
        )
        self.directory = directory
        self.dead = dead


class Cluster:
    """The cluster of a directory, whoever started it."""

    def __init__(self, directory: Path = DEFAULT) -> None:
        self.layout = Layout(directory.resolve())
        self._components = Components(self.layout)

    @property
    def kubeconfig(self) -> Path:
        """Of the administrator. Raises NotRunningError."""
        self._holder()
        return self.layout.kubeconfig

    @property
    def running(self) -> bool:
        """Whether ``up`` has succeeded, and no ``down`` or reboot came after."""
        holder = self._components.find(HOLDER)
        return holder is not None and holder.alive and self.layout.ready.exists()

    def up(self, *, policy: bool = True) -> bool:
        """Start it; False when it runs already. Pods can be scheduled and names resolved once this returns.

        Before anything is started it raises NotRootError, MissingProgramsError, MissingToolError or BrokenError, then
        ComponentError, CommandError or TimeoutError, and all is removed again, but for the logs.
        """
        require(_INSTALLED)
        for name in _BUILT:
            binary(name)
        with self._alone():
            if self.running:
                if dead := self._components.dead():
                    raise BrokenError(self.layout.directory, dead)
                return False
            self._remove()
            self._put_logs_aside()
            try:
                start(self.layout, self._components, policy=policy)
                self.layout.ready.touch()
            except BaseException:
                self._remove()
                raise
            return True

    def down(self) -> None:
        """End all of it, and remove what it left, but for the logs; again does nothing. Raises NotRootError."""
        with self._alone():
            self._remove()

    def load(self, *archives: Path) -> list[str]:
        """Take over those images of docker-archives that are not there yet; returns their names.

        Raises NotRunningError, NoArchiveError, CommandError or OSError.
        """
        self._holder()
        return store.load(self.layout, archives)

    def image(self, name: str) -> str | None:
        """Digest of the image of this name, as pods that start now get it; None when there is none.

        Raises NotRunningError or CommandError.
        """
        self._holder()
        return store.identity(self.layout, name)

    def kill_kubelet(self) -> None:
        """SIGKILL; containers go on. Raises NotRunningError, and ProcessLookupError where there is no kubelet."""
        self._holder()
        kubelet = self._components.find(KUBELET)
        if kubelet is None or not kubelet.alive:
            raise ProcessLookupError("no kubelet runs that could be killed")
        kubelet.kill()

    def start_kubelet(self) -> None:
        """Start it again. Raises NotRunningError, AlreadyRunningError or ComponentError."""
        self._components.start(self._holder(), KUBELET, node.kubelet(self.layout))

    def _holder(self) -> Process:
        holder = self._components.find(HOLDER)
        if holder is None or not self.running:
            raise NotRunningError(self.layout.directory)
        return holder

    def _put_logs_aside(self) -> None:
        previous = self.layout.logs.with_suffix(".previous")
        shutil.rmtree(previous, ignore_errors=True)
        if self.layout.logs.exists():
            self.layout.logs.rename(previous)

    def _remove(self) -> None:
        self._components.kill()
        network.remove(self.layout)
        until(lambda: cgroups.removed(self.layout.name), 10)
        if self.layout.state.exists():
            shutil.rmtree(self.layout.state)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """One at a time: who comes second waits."""
        if os.geteuid() != 0:
            raise NotRootError
        self.layout.directory.mkdir(parents=True, exist_ok=True)
        with (self.layout.directory / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
