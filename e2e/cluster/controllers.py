"""kube-controller-manager and kube-scheduler. Both end when they start before the API server is ready."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.tools import binary

from . import kubeadm

if TYPE_CHECKING:
    from pathlib import Path

    from .layout import Layout


def controller_manager(layout: Layout) -> list[str | Path]:
    """The program and its flags. Raises MissingToolError."""
    pki = layout.pki
    return [
        binary("kube-controller-manager"), *_identity(layout, kubeadm.CONTROLLER_MANAGER),
        "--use-service-account-credentials", "--controllers=*,bootstrapsigner,tokencleaner",
        f"--root-ca-file={pki / 'ca.crt'}", f"--service-account-private-key-file={pki / 'sa.key'}",
        f"--cluster-signing-cert-file={pki / 'ca.crt'}", f"--cluster-signing-key-file={pki / 'ca.key'}",
    ]  # fmt: skip


def scheduler(layout: Layout) -> list[str | Path]:
    """The program and its flags. Raises MissingToolError."""
    return [binary("kube-scheduler"), *_identity(layout, kubeadm.SCHEDULER)]


def _identity(layout: Layout, name: str) -> list[str]:
    path = layout.state / name
    return [
        f"--kubeconfig={path}", f"--authentication-kubeconfig={path}", f"--authorization-kubeconfig={path}",
        "--bind-address=127.0.0.1", "--leader-elect=false",
    ]  # fmt: skip
