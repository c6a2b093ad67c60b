"""The volumes of pods and where containers mount them: ``docs/architecture.md``, the table of volumes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from kubernetes.client import (
    V1ConfigMapVolumeSource,
    V1EmptyDirVolumeSource,
    V1KeyToPath,
    V1ObjectMeta,
    V1PersistentVolumeClaim,
    V1PersistentVolumeClaimSpec,
    V1PersistentVolumeClaimVolumeSource,
    V1SecretVolumeSource,
    V1Volume,
    V1VolumeMount,
    V1VolumeResourceRequirements,
)

from shieldwall.contract import paths
from shieldwall.control.api.quantities import canonical
from shieldwall.control.plan.labels import labels

if TYPE_CHECKING:
    from shieldwall.control.api.training import Training
    from shieldwall.control.plan.labels import Component

POLICY: Final = "policy"
TLS: Final = "tls"
TRUST: Final = "trust"
NODE: Final = "node"
SUPEREXEC: Final = "superexec"
LOCAL_TLS: Final = "local-tls"
LOCAL_TRUST: Final = "local-trust"
SOCKETS: Final = "sockets"
SIGNER: Final = "signer"
STATE: Final = "state"
MODEL: Final = "model"
DATA: Final = "data"

_DIRECTORIES: Final = {
    POLICY: paths.POLICY_DIR,
    TLS: paths.TLS_DIR,
    TRUST: paths.TRUST_DIR,
    NODE: paths.NODE_DIR,
    SUPEREXEC: paths.SUPEREXEC_DIR,
    LOCAL_TLS: paths.LOCAL_TLS_DIR,
    LOCAL_TRUST: paths.LOCAL_TRUST_DIR,
    SOCKETS: paths.SOCKET_DIR,
    SIGNER: paths.SIGNER_DIR,
    STATE: paths.STATE_DIR,
    MODEL: paths.MODEL_DIR,
    DATA: paths.DATA_DIR,
}

TEMPORARY_DIRECTORY: Final = "/tmp"  # noqa: S108  # an emptyDir of one container
_SECRET_MODE: Final = 0o440
"""Read by the pod's group: containers run under different users."""
_MEMORY_LIMIT: Final = "1Mi"
_SCRATCH_LIMIT: Final = "2Gi"


def mount(volume: str, *, writable: bool = False) -> V1VolumeMount:
    """The whole volume at its place; never a part of it, which would not follow changes."""
    return V1VolumeMount(name=volume, mount_path=f"/{_DIRECTORIES[volume]}", read_only=None if writable else True)


def scratch_mounts(container: str) -> list[V1VolumeMount]:
    """A writable home and /tmp of the container's own."""
    return [
        V1VolumeMount(name=f"home-{container}", mount_path=f"/{paths.HOME_DIR}"),
        V1VolumeMount(name=f"tmp-{container}", mount_path=TEMPORARY_DIRECTORY),
    ]


def scratch(*containers: str) -> list[V1Volume]:
    """The volumes of ``scratch_mounts``."""
    return [
        V1Volume(name=f"{kind}-{container}", empty_dir=V1EmptyDirVolumeSource(size_limit=_SCRATCH_LIMIT))
        for container in containers
        for kind in ("home", "tmp")
    ]


def memory(*volumes: str) -> list[V1Volume]:
    """Volumes that live in memory as long as the pod."""
    source = V1EmptyDirVolumeSource(medium="Memory", size_limit=_MEMORY_LIMIT)
    return [V1Volume(name=volume, empty_dir=source) for volume in volumes]


def config_map(volume: str, name: str) -> V1Volume:
    """All of a ConfigMap."""
    return V1Volume(name=volume, config_map=V1ConfigMapVolumeSource(name=name))


def secret(volume: str, name: str, *keys: str) -> V1Volume:
    """These keys of a Secret and no others."""
    items = [V1KeyToPath(key=key, path=key) for key in keys]
    source = V1SecretVolumeSource(secret_name=name, items=items, default_mode=_SECRET_MODE)
    return V1Volume(name=volume, secret=source)


def claimed(volume: str, claim: str) -> V1Volume:
    """A claim that the user brings; never written to."""
    source = V1PersistentVolumeClaimVolumeSource(claim_name=claim, read_only=True)
    return V1Volume(name=volume, persistent_volume_claim=source)


def claim_template(training: Training, component: Component, volume: str, size: str) -> V1PersistentVolumeClaim:
    """A claim of a StatefulSet's pod."""
    return V1PersistentVolumeClaim(
        api_version="v1",
        kind="PersistentVolumeClaim",
        metadata=V1ObjectMeta(name=volume, labels=labels(training, component)),
        spec=V1PersistentVolumeClaimSpec(
            access_modes=["ReadWriteOnce"],
            resources=V1VolumeResourceRequirements(requests={"storage": canonical(size)}),
            storage_class_name=training.spec.storage.storage_class_name,
        ),
    )
