"""PersistentVolumes that are directories of the node."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from kubernetes.aio.client import (
    V1LocalVolumeSource,
    V1NodeSelector,
    V1NodeSelectorRequirement,
    V1NodeSelectorTerm,
    V1ObjectMeta,
    V1ObjectReference,
    V1PersistentVolume,
    V1PersistentVolumeClaim,
    V1PersistentVolumeSpec,
    V1VolumeNodeAffinity,
)

from .layout import STORAGE_CLASS
from .objects import PROVISIONER

if TYPE_CHECKING:
    from pathlib import Path

_BY: Final = "pv.kubernetes.io/provisioned-by"
_NODE: Final = "volume.kubernetes.io/selected-node"
_DELETE: Final = "Delete"


@dataclass(frozen=True)
class Claim:
    """A claim that waits for a volume on a node."""

    reference: V1ObjectReference
    modes: tuple[str, ...]
    size: str
    node: str

    @property
    def volume(self) -> str:
        """Name of the volume: the same whenever it is asked for, and of no other claim."""
        return f"pvc-{self.reference.uid}"


def waiting(claim: V1PersistentVolumeClaim) -> Claim | None:
    """None when it is another class's, has a volume, is about to go, or when no pod uses it yet."""
    metadata, spec = claim.metadata, claim.spec
    if metadata is None or spec is None or spec.resources is None:
        return None
    node = (metadata.annotations or {}).get(_NODE)
    if spec.storage_class_name != STORAGE_CLASS or spec.volume_name or metadata.deletion_timestamp or node is None:
        return None
    reference = V1ObjectReference(
        api_version="v1",
        kind="PersistentVolumeClaim",
        namespace=metadata.namespace,
        name=metadata.name,
        uid=metadata.uid,
    )
    return Claim(reference, tuple(spec.access_modes or ()), (spec.resources.requests or {})["storage"], node)


def volume_for(claim: Claim, volumes: Path) -> V1PersistentVolume:
    """The volume that ``claim`` waits for, a directory of ``volumes``."""
    return V1PersistentVolume(
        api_version="v1",
        kind="PersistentVolume",
        metadata=V1ObjectMeta(name=claim.volume, annotations={_BY: PROVISIONER}),
        spec=V1PersistentVolumeSpec(
            access_modes=list(claim.modes),
            capacity={"storage": claim.size},
            claim_ref=claim.reference,
            local=V1LocalVolumeSource(path=str(volumes / claim.volume)),
            node_affinity=_only(claim.node),
            persistent_volume_reclaim_policy=_DELETE,
            storage_class_name=STORAGE_CLASS,
        ),
    )


def released(volume: V1PersistentVolume) -> str | None:
    """Its name when it is one of ours whose claim is gone; None also when somebody wants it kept."""
    metadata, spec, status = volume.metadata, volume.spec, volume.status
    if metadata is None or spec is None or status is None or status.phase != "Released":
        return None
    ours = (metadata.annotations or {}).get(_BY) == PROVISIONER
    return metadata.name if ours and spec.persistent_volume_reclaim_policy == _DELETE else None


def _only(node: str) -> V1VolumeNodeAffinity:
    expression = V1NodeSelectorRequirement(key="kubernetes.io/hostname", operator="In", values=[node])
    term = V1NodeSelectorTerm(match_expressions=[expression])
    return V1VolumeNodeAffinity(required=V1NodeSelector(node_selector_terms=[term]))
