"""Tells kubelets that a Secret or ConfigMap has changed: a touched pod gets it in a second instead of a minute."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from shieldwall.control.cluster.errors import ApiError
from shieldwall.control.cluster.kinds import POD
from shieldwall.control.cluster.live import MANAGER
from shieldwall.control.plan.labels import CLIENT_LABEL, COMPONENT_LABEL, TRAINING_LABEL, Component
from shieldwall.control.plan.names import Names

if TYPE_CHECKING:
    from collections.abc import Iterable

    from shieldwall.control.api.training import Training
    from shieldwall.control.cluster.api import Api, Json

NUDGE: Final = "shieldwall.dev/nudge"
"""Annotation of pods: what made the kubelet look."""


async def nudge(api: Api, training: Training, changed: Iterable[str], mark: str) -> int:
    """Touch every pod that mounts one of the objects named ``changed``; returns how many. Annotates with ``mark``.

    Costs a list and a small patch for each pod. A pod that has gone meanwhile is passed over.
    """
    wanted = frozenset(changed)
    if not wanted:
        return 0
    pods = [
        pod
        async for page in api.list_pages(POD, training.namespace, f"{TRAINING_LABEL}={training.name}")
        for pod in page["items"]
    ]
    touched = [pod for pod in pods if _mounted(training, pod) & wanted and "deletionTimestamp" not in pod["metadata"]]
    await asyncio.gather(*(_touch(api, pod, mark) for pod in touched))
    return len(touched)


def _mounted(training: Training, pod: Json) -> frozenset[str]:
    """Names of what the pod mounts and what changes in its life."""
    names, labels = Names(training.name), pod["metadata"].get("labels") or {}
    component = labels.get(COMPONENT_LABEL)
    if component == Component.SERVER:
        return frozenset({names.server_tls, names.trust})
    if component == Component.AGGREGATOR:
        return frozenset({names.aggregator_tls, names.trust})
    return frozenset({names.client_tls(labels.get(CLIENT_LABEL, "")), names.trust})


async def _touch(api: Api, pod: Json, mark: str) -> None:
    metadata = pod["metadata"]
    change: Json = {"metadata": {"annotations": {NUDGE: mark}, "uid": metadata["uid"]}}
    try:
        await api.merge(POD, metadata["namespace"], metadata["name"], change, MANAGER)
    except ApiError as error:
        if not (error.missing or error.conflict):
            raise
