"""containerd with runc and CNI: the container runtime."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from .archive import write_image
from .layout import POD_NETWORK

if TYPE_CHECKING:
    from .layout import Layout

PAUSE: Final = "e2e.test/pause:1"
_CATATONIT: Final = Path("/usr/bin/catatonit")
"""Podman's pause program: static, reaps, ends on SIGTERM."""
_PLUGINS: Final = Path("/usr/lib/cni")


def command(layout: Layout) -> list[str | Path]:
    """The program and its flags."""
    return ["containerd", "--config", layout.configuration / "containerd.toml"]


def write_pause(directory: Path) -> Path:
    """Write the image of the process that holds a pod's namespaces."""
    path = directory / "pause.tar"
    write_image(path, PAUSE, _CATATONIT, ["-P"])
    return path


def configuration(layout: Layout) -> str:
    """Its configuration file.

    No program may ask for a lower OOM score than it has: a machine that is itself confined does not allow it.
    """
    cri = '[plugins."io.containerd.grpc.v1.cri"'
    values = {
        "root": layout.state / "containerd",
        "socket": layout.containerd,
        "cni": layout.configuration / "cni",
        "opt": layout.state / "containerd" / "opt",
    }
    paths = {key: json.dumps(str(value)) for key, value in values.items()}
    return f"""\
version = 2
root = {paths["root"]}
state = "/run/containerd"
[grpc]
address = {paths["socket"]}
[plugins."io.containerd.internal.v1.opt"]
path = {paths["opt"]}
{cri}]
sandbox_image = "{PAUSE}"
restrict_oom_score_adj = true
{cri}.cni]
bin_dir = "{_PLUGINS}"
conf_dir = {paths["cni"]}
{cri}.containerd]
snapshotter = "overlayfs"
default_runtime_name = "runc"
{cri}.containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"
{cri}.containerd.runtimes.runc.options]
SystemdCgroup = false
"""


def networking(layout: Layout) -> dict[str, Any]:
    """CNI's list of plugins. With ``ptp`` each packet of a pod is routed: the node's ``forward`` hook sees it."""
    addresses = {
        "type": "host-local",
        "dataDir": str(layout.state / "cni"),
        "ranges": [[{"subnet": str(POD_NETWORK)}]],
        "routes": [{"dst": "0.0.0.0/0"}],
    }
    return {
        "cniVersion": "0.4.0",
        "name": "pods",
        "plugins": [
            {"type": "ptp", "ipMasq": False, "ipam": addresses},
            {"type": "portmap", "capabilities": {"portMappings": True}},
        ],
    }
