"""From nothing to a node that runs pods, in the order that the components need."""

from __future__ import annotations

import json
import ssl
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TYPE_CHECKING, Final

import httpx
from harness.process import until
from harness.tools import binary

from . import apiserver, cgroups, containerd, controllers, dns, etcd, kubeadm, network, node, objects, store
from .commands import CommandError, run
from .layout import NODE_NAME, POD_NETWORK
from .namespaces import enter, hold

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from .components import Components
    from .layout import Layout
    from .processes import Process

POLICY: Final = "policy"
KUBELET: Final = "kubelet"
_SECONDS: Final = 60
_PAUSE: Final = 0.2


def start(layout: Layout, components: Components, *, policy: bool) -> None:
    """Start everything; returns once pods run. Raises ComponentError, CommandError or TimeoutError."""
    write_files(layout)
    cgroups.create(layout.name)
    network.create(layout)
    starting = _Start(layout, components, hold(layout))
    with ThreadPoolExecutor(1) as aside:
        images = aside.submit(starting.runtime)
        starting.control_plane()
        starting.node(policy=policy)
        images.result()
    starting.dns()


def write_files(layout: Layout) -> None:
    """Directories, and the files that components read."""
    networks = layout.configuration / "cni"
    for directory in (layout.logs, layout.records, networks, layout.volumes):
        directory.mkdir(parents=True)
    layout.state.chmod(0o700)  # keys are in it
    files = {
        "containerd.toml": containerd.configuration(layout),
        "cni/pods.conflist": json.dumps(containerd.networking(layout)),
        node.KUBELET_CONFIGURATION: json.dumps(node.kubelet_configuration(layout)),
        **dns.resolvers(layout),
    }
    for name, content in files.items():
        (layout.configuration / name).write_text(content, encoding="ascii")


class _Start:
    def __init__(self, layout: Layout, components: Components, holder: Process) -> None:
        self._layout = layout
        self._components = components
        self._holder = holder

    def runtime(self) -> None:
        self._components.start(self._holder, "containerd", containerd.command(self._layout))
        archives = [containerd.write_pause(self._layout.state), dns.write_archive(self._layout.state)]
        self._until(lambda: _succeeds("ctr", f"--address={self._layout.containerd}", "version"))
        store.load(self._layout, archives)
        for archive in archives:
            archive.unlink()

    def control_plane(self) -> None:
        layout, start = self._layout, self._components.start
        start(self._holder, "etcd", etcd.command(layout))
        kubeadm.write_identities(layout)
        start(self._holder, "kube-apiserver", apiserver.command(layout))
        trust = ssl.create_default_context(cafile=layout.pki / "ca.crt")
        self._until(lambda: _answers(f"{layout.api}/readyz", trust))
        start(self._holder, "kube-controller-manager", controllers.controller_manager(layout))
        start(self._holder, "kube-scheduler", controllers.scheduler(layout))
        self._apply(kubeadm.SUPER_ADMIN, objects.bindings())
        self._apply(layout.kubeconfig.name, objects.storage_class())

    def node(self, *, policy: bool) -> None:
        layout, start_module = self._layout, self._components.start_module
        self._components.start(self._holder, KUBELET, node.kubelet(layout))
        self._components.start(self._holder, "kube-proxy", node.proxy(layout))
        identity = f"--kubeconfig={layout.kubeconfig}"
        start_module(self._holder, "cluster.provisioner", identity, f"--volumes={layout.volumes}")
        if policy:
            closed = layout.state / "policy-ready"
            start_module(
                self._holder, POLICY, identity,
                f"--netns={layout.name}", f"--pod-cidr={POD_NETWORK}", f"--ready-file={closed}",
            )  # fmt: skip
            self._until(closed.exists)

    def dns(self) -> None:
        """Once it answers on its Service's address, scheduler, kubelet, runtime, network and proxy have done theirs."""
        kubeadm.install_dns(self._layout)
        self._until(lambda: _succeeds(*self._kubectl("get", f"node/{NODE_NAME}")))
        self._wait("wait", "--for=condition=Ready", f"node/{NODE_NAME}")
        self._wait("rollout", "status", "--namespace=kube-system", "deployment/coredns")
        self._until(lambda: _succeeds(*enter(self._holder), "getent", "ahostsv4", dns.QUESTION))
        self._until(lambda: _succeeds(*self._kubectl("get", "--namespace=default", "serviceaccount/default")))

    def _kubectl(self, *words: str, kubeconfig: str | None = None) -> tuple[str | Path, ...]:
        path = self._layout.state / (kubeconfig or self._layout.kubeconfig.name)
        return (binary("kubectl"), f"--kubeconfig={path}", f"--cache-dir={self._layout.state / 'kubectl'}", *words)

    def _apply(self, kubeconfig: str, body: dict[str, object]) -> None:
        run(*self._kubectl("apply", "--filename=-", kubeconfig=kubeconfig), given=json.dumps(body))

    def _wait(self, *words: str) -> None:
        try:
            run(*self._kubectl(*words, f"--timeout={_SECONDS}s"))
        except CommandError:
            self._components.check()
            raise

    def _until(self, probe: Callable[[], bool]) -> None:
        def ready() -> bool:
            self._components.check()
            return probe()

        until(ready, _SECONDS, _PAUSE)


def _succeeds(*words: str | Path) -> bool:
    try:
        run(*words)
    except CommandError:
        return False
    return True


def _answers(url: str, trust: ssl.SSLContext) -> bool:
    with suppress(httpx.TransportError):
        return httpx.get(url, verify=trust, timeout=2, trust_env=False).is_success
    return False
