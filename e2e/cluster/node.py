"""kubelet and kube-proxy."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from harness.tools import binary

from . import kubeadm
from .layout import DNS_SERVICE, DOMAIN, NODE_NAME, POD_NETWORK

if TYPE_CHECKING:
    from pathlib import Path

    from .layout import Layout

KUBELET_CONFIGURATION: Final = "kubelet.json"
_API: Final = "kubelet.config.k8s.io/v1beta1"


def kubelet(layout: Layout) -> list[str | Path]:
    """The program and its flags. Raises MissingToolError."""
    return [
        binary("kubelet"), f"--config={layout.configuration / KUBELET_CONFIGURATION}",
        f"--kubeconfig={layout.state / kubeadm.KUBELET}", f"--root-dir={layout.state / 'kubelet'}",
        f"--node-ip={layout.node}", f"--hostname-override={NODE_NAME}",
    ]  # fmt: skip


def kubelet_configuration(layout: Layout) -> dict[str, Any]:
    """Its configuration file; what is not here has Kubernetes' defaults, such as the periods of sync and status."""
    return {
        "apiVersion": _API,
        "kind": "KubeletConfiguration",
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": True},
            "x509": {"clientCAFile": str(layout.pki / "ca.crt")},
        },
        "authorization": {"mode": "Webhook"},
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": f"/{layout.name}",
        "clusterDNS": [str(DNS_SERVICE)],
        "clusterDomain": DOMAIN,
        "containerRuntimeEndpoint": f"unix://{layout.containerd}",
        "evictionHard": {"memory.available": "100Mi", "nodefs.available": "1%", "imagefs.available": "1%"},
        "failSwapOn": False,
        "imageGCHighThresholdPercent": 100,  # off: what is deleted here can be pulled from nowhere
        "podLogsDir": str(layout.logs / "pods"),
        "protectKernelDefaults": True,  # it reads what it wants from the namespaces' own files, and writes nothing
        "resolvConf": str(layout.configuration / "pods-resolv.conf"),
        "rotateCertificates": False,
    }


def proxy(layout: Layout) -> list[str | Path]:
    """kube-proxy and its flags. Raises MissingToolError."""
    return [
        binary("kube-proxy"), f"--kubeconfig={layout.state / kubeadm.PROXY}",
        f"--hostname-override={NODE_NAME}", f"--cluster-cidr={POD_NETWORK}", "--proxy-mode=iptables",
        # the machine's connection tracking stays as it is
        "--conntrack-max-per-core=0", "--conntrack-tcp-timeout-established=0", "--conntrack-tcp-timeout-close-wait=0",
    ]  # fmt: skip
