"""Finds the pods and the ConfigMaps among the objects of a plan."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from kubernetes.client import (
    V1ConfigMap,
    V1Deployment,
    V1PersistentVolumeClaimVolumeSource,
    V1PodSpec,
    V1StatefulSet,
    V1Volume,
)

from shieldwall.contract import paths

if TYPE_CHECKING:
    from collections.abc import Iterable

    from kubernetes.client import V1ObjectMeta

    from shieldwall.control.plan.objects import KubernetesObject


class IncompleteObjectError(ValueError):
    """An object of the plan lacks what every such object has."""


@dataclass(frozen=True, slots=True)
class PodTemplate:
    """One pod that the plan wants."""

    name: str
    namespace: str
    spec: V1PodSpec
    volumes: tuple[V1Volume, ...]
    """The template's, and one for each volumeClaimTemplate."""

    @property
    def client(self) -> str | None:
        """The client's name, in client pods."""
        for container in self.spec.containers:
            for item in container.env or ():
                if item.name == paths.CLIENT_VARIABLE:
                    return str(item.value)
        return None


def pod_templates(objects: Iterable[KubernetesObject]) -> list[PodTemplate]:
    """The pods of a plan, in its order: one for each StatefulSet (``<name>-0``) and Deployment (``<name>``)."""
    templates = []
    for item in objects:
        if isinstance(item, V1StatefulSet):
            pod = f"{name_of(item.metadata)}-0"
            claims = item.spec.volume_claim_templates or () if item.spec is not None else ()
            volumes = [_claim_volume(name_of(claim.metadata), pod) for claim in claims]
            templates.append(_template(pod, item, volumes))
        elif isinstance(item, V1Deployment):
            templates.append(_template(name_of(item.metadata), item, []))
    return templates


def _template(pod: str, item: V1StatefulSet | V1Deployment, claims: list[V1Volume]) -> PodTemplate:
    spec = item.spec.template.spec if item.spec is not None else None
    if spec is None:
        raise IncompleteObjectError(f"{pod} has no pod template")
    namespace = item.metadata.namespace if item.metadata is not None else None
    return PodTemplate(pod, namespace or "default", spec, (*(spec.volumes or ()), *claims))


def _claim_volume(claim: str, pod: str) -> V1Volume:
    source = V1PersistentVolumeClaimVolumeSource(claim_name=f"{claim}-{pod}")
    return V1Volume(name=claim, persistent_volume_claim=source)


def config_maps(objects: Iterable[KubernetesObject]) -> dict[str, dict[str, bytes]]:
    """The content of the plan's ConfigMaps, by name."""
    return {
        name_of(item.metadata): {key: value.encode() for key, value in (item.data or {}).items()}
        for item in objects
        if isinstance(item, V1ConfigMap)
    }


def name_of(metadata: V1ObjectMeta | None) -> str:
    """The object's name; raises IncompleteObjectError."""
    if metadata is None or metadata.name is None:
        raise IncompleteObjectError("an object of the plan has no name")
    return str(metadata.name)
