"""CoreDNS, the cluster's DNS: a pod, so that policies which name it mean what they mean elsewhere."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from harness.tools import binary

from .archive import write_image
from .layout import API_SERVICE, DNS_SERVICE, DOMAIN

if TYPE_CHECKING:
    from pathlib import Path

    from .layout import Layout

REPOSITORY: Final = "e2e.test"
TAG: Final = "e2e"
IMAGE: Final = f"{REPOSITORY}/coredns:{TAG}"
QUESTION: Final = f"kubernetes.default.svc.{DOMAIN}"
ANSWER: Final = str(API_SERVICE)


def write_archive(directory: Path) -> Path:
    """Write CoreDNS's image. Raises MissingToolError."""
    path = directory / "coredns.tar"
    write_image(path, IMAGE, binary("coredns"))
    return path


def resolvers(layout: Layout) -> dict[str, str]:
    """Files in the form of /etc/resolv.conf: the node itself asks the cluster, the cluster's DNS asks nobody.

    Nothing listens where the latter forwards to, the node's own address, so that other names fail at once.
    """
    return {
        "node-resolv.conf": f"nameserver {DNS_SERVICE}\noptions timeout:1 attempts:1\n",
        "pods-resolv.conf": f"nameserver {layout.node}\n",
    }
