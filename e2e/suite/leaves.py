"""Which certificates are in use, as openssl sees them from within a pod."""

from __future__ import annotations

from typing import TYPE_CHECKING

from shieldwall.contract.ports import FLEET

if TYPE_CHECKING:
    from .kubectl import Kubectl


def pod_of(kubectl: Kubectl, subject: str) -> str:
    """The pod that mounts this subject's leaf."""
    role, _, client = subject.partition("/")
    if role != "client":
        return f"digits-{role}-0"
    pods = kubectl.all("pods", f"shieldwall.dev/training=digits,shieldwall.dev/client={client}")
    return str(next(pod["metadata"]["name"] for pod in pods if "deletionTimestamp" not in pod["metadata"]))


def shown(kubectl: Kubectl) -> str:
    """Serial number of the leaf that the server shows to who connects from a client's pod."""
    host = f"digits-server.{kubectl.namespace}.svc.cluster.local:{FLEET}"
    command = f"openssl s_client -connect {host} </dev/null 2>/dev/null | openssl x509 -noout -serial"
    said = kubectl.run(pod_of(kubectl, "client/berlin"), "supernode", "sh", "-c", command)
    return said.strip().removeprefix("serial=").lower()


def same(one: str, other: str) -> bool:
    """Whether two serial numbers are one, however many zeros they begin with."""
    return int(one, 16) == int(other, 16)
