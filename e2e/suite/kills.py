"""Whom chaos kills and how, and what says that another has taken its place."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from cluster.processes import Process

from . import node
from .leaves import pod_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from .conftest import Site
    from .kubectl import Kubectl

    Aiming = Callable[[Kubectl, Site], "Aim"]

OUTAGE = 30
"""Seconds without a kubelet."""


def _nothing() -> None:
    """What is killed is replaced without anybody's help."""


@dataclass(frozen=True)
class Aim:
    """A kill that is prepared: it falls at once."""

    strike: Callable[[], object]
    back: Callable[[], bool]
    """Whether another is there in its place, and Ready."""
    mend: Callable[[], object] = _nothing
    """Done after the strike, whatever comes of it."""


def container(name: str, of: str) -> Aiming:
    """What an out-of-memory kill does: SIGKILL to a container's first process, which takes all others with it."""

    def aim(kubectl: Kubectl, _site: Site) -> Aim:
        pod = kubectl.get("pod", pod_of(kubectl, of))
        process = Process.of(node.main_process(pod, name))

        def back() -> bool:
            now = kubectl.get("pod", pod["metadata"]["name"])
            return bool(_state(now, name)["restartCount"] > _state(pod, name)["restartCount"]) and ready(now)

        def strike() -> None:
            assert process.alive, f"{name} has ended by itself"
            process.kill()

        return Aim(strike, back)

    return aim


def pod(of: str) -> Aiming:
    """A pod that is deleted at once."""

    def aim(kubectl: Kubectl, _site: Site) -> Aim:
        before = kubectl.get("pod", pod_of(kubectl, of))["metadata"]

        def back() -> bool:
            now = kubectl.get("pod", pod_of(kubectl, of))
            return now["metadata"]["uid"] != before["uid"] and ready(now)

        return Aim(lambda: kubectl.delete("pod", before["name"], "--force", "--grace-period=0", "--wait=false"), back)

    return aim


def operators(_kubectl: Kubectl, site: Site) -> Aim:
    """Every replica of the operator, deleted at once."""
    inside = site.kubectl.inside(site.helm.namespace)
    selector = "app.kubernetes.io/component=operator"

    def running() -> set[str]:
        return {each["metadata"]["uid"] for each in inside.all("pods", selector) if ready(each)}

    before = running()
    assert before, "no operator to kill"
    return Aim(
        lambda: inside("delete", "pods", "-l", selector, "--force", "--grace-period=0", "--wait=false"),
        lambda: len(running() - before) == len(before),
    )


def kubelet(kubectl: Kubectl, site: Site) -> Aim:
    """The node's kubelet, for half a minute."""
    started: list[datetime] = []

    def mend() -> None:
        time.sleep(OUTAGE)  # that it is away so long is what is tried
        site.node.start_kubelet()
        started.append(datetime.now(UTC))

    def back() -> bool:
        (its,) = site.kubectl.all("nodes")
        lease = site.kubectl.inside("kube-node-lease").get("lease", its["metadata"]["name"])
        renewed = datetime.fromisoformat(lease["spec"]["renewTime"])
        pods = kubectl.all("pods", "shieldwall.dev/training=digits")
        return renewed > started[-1] and ready(its) and all(map(ready, pods))

    return Aim(site.node.kill_kubelet, back, mend)


def ready(one: dict[str, Any]) -> bool:
    """Whether a pod or node is, and is to stay."""
    conditions = one["status"].get("conditions", [])
    is_ready = any(each["type"] == "Ready" and each["status"] == "True" for each in conditions)
    return is_ready and "deletionTimestamp" not in one["metadata"]


def _state(pod: dict[str, Any], name: str) -> dict[str, Any]:
    states = [*pod["status"]["containerStatuses"], *pod["status"]["initContainerStatuses"]]
    found: dict[str, Any] = next(each for each in states if each["name"] == name)
    return found
