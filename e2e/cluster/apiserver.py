"""kube-apiserver, with the flags that kubeadm gives it; PodSecurity is on by default, auditing off."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.tools import binary

from . import etcd
from .layout import DOMAIN, SERVICE_NETWORK

if TYPE_CHECKING:
    from pathlib import Path

    from .layout import Layout


def command(layout: Layout) -> list[str | Path]:
    """The program and its flags. Raises MissingToolError."""
    pki = layout.pki
    return [
        binary("kube-apiserver"),
        f"--advertise-address={layout.node}", "--secure-port=6443", f"--etcd-servers={etcd.URL}",
        f"--service-cluster-ip-range={SERVICE_NETWORK}",
        "--authorization-mode=Node,RBAC", "--enable-admission-plugins=NodeRestriction",
        f"--client-ca-file={pki / 'ca.crt'}",
        f"--tls-cert-file={pki / 'apiserver.crt'}", f"--tls-private-key-file={pki / 'apiserver.key'}",
        "--kubelet-preferred-address-types=InternalIP",  # the node's name resolves nowhere
        f"--kubelet-client-certificate={pki / 'apiserver-kubelet-client.crt'}",
        f"--kubelet-client-key={pki / 'apiserver-kubelet-client.key'}",
        f"--service-account-issuer=https://kubernetes.default.svc.{DOMAIN}",
        f"--service-account-key-file={pki / 'sa.pub'}", f"--service-account-signing-key-file={pki / 'sa.key'}",
        f"--requestheader-client-ca-file={pki / 'front-proxy-ca.crt'}",
        "--requestheader-allowed-names=front-proxy-client", "--requestheader-username-headers=X-Remote-User",
        "--requestheader-group-headers=X-Remote-Group", "--requestheader-extra-headers-prefix=X-Remote-Extra-",
        f"--proxy-client-cert-file={pki / 'front-proxy-client.crt'}",
        f"--proxy-client-key-file={pki / 'front-proxy-client.key'}",
    ]  # fmt: skip
