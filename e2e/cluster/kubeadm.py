"""Keys, certificates, kubeconfigs and cluster DNS, as kubeadm makes them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from harness.certificates import write_secret
from harness.tools import binary

from . import dns
from .commands import run
from .layout import DOMAIN, NODE_NAME, POD_NETWORK, SERVICE_NETWORK

if TYPE_CHECKING:
    from pathlib import Path

    from .layout import Layout

SUPER_ADMIN: Final = "super-admin.conf"
"""The kubeconfig that needs no binding: it makes the first one."""
KUBELET: Final = "kubelet.conf"
CONTROLLER_MANAGER: Final = "controller-manager.conf"
SCHEDULER: Final = "scheduler.conf"
PROXY: Final = "kube-proxy.conf"
_API: Final = "kubeadm.k8s.io/v1beta4"


def configuration(layout: Layout, version: str) -> list[dict[str, Any]]:
    """What kubeadm is told of the cluster; without its own ``version`` it asks the Internet for one."""
    return [
        {
            "apiVersion": _API,
            "kind": "InitConfiguration",
            "localAPIEndpoint": {"advertiseAddress": str(layout.node), "bindPort": 6443},
            "nodeRegistration": {"name": NODE_NAME, "criSocket": f"unix://{layout.containerd}"},
        },
        {
            "apiVersion": _API,
            "kind": "ClusterConfiguration",
            "kubernetesVersion": version,
            "certificatesDir": str(layout.pki),
            "encryptionAlgorithm": "ECDSA-P256",
            "networking": {
                "podSubnet": str(POD_NETWORK),
                "serviceSubnet": str(SERVICE_NETWORK),
                "dnsDomain": DOMAIN,
            },
            "dns": {"imageRepository": dns.REPOSITORY, "imageTag": dns.TAG},
        },
    ]


def write_identities(layout: Layout) -> None:
    """Write the PKI and the kubeconfigs of administrators and components. Raises CommandError."""
    path = _configuration(layout)
    documents = configuration(layout, run(binary("kubeadm"), "version", "--output=short").strip())
    path.write_text("\n---\n".join(map(json.dumps, documents)), encoding="ascii")
    _init(layout, "certs", "all")
    _init(layout, "kubeconfig", "all", f"--kubeconfig-dir={layout.state}")
    user = run(binary("kubeadm"), "kubeconfig", "user", "--client-name=system:kube-proxy", f"--config={path}")
    write_secret(layout.state / PROXY, user.encode())


def install_dns(layout: Layout) -> None:
    """Have CoreDNS run in pods. Raises CommandError."""
    _init(layout, "addon", "coredns", f"--kubeconfig={layout.kubeconfig}")


def _init(layout: Layout, *phase: str) -> None:
    run(binary("kubeadm"), "init", "phase", *phase, f"--config={_configuration(layout)}")


def _configuration(layout: Layout) -> Path:
    return layout.configuration / "kubeadm.yaml"
