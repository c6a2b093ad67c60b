"""Labels, selectors and metadata."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Final

from kubernetes.client import V1LabelSelector, V1ObjectMeta, V1OwnerReference

from shieldwall.control.api.training import API_VERSION, KIND

if TYPE_CHECKING:
    from shieldwall.control.api.training import Training

TRAINING_LABEL: Final = "shieldwall.dev/training"
CLIENT_LABEL: Final = "shieldwall.dev/client"
COMPONENT_LABEL: Final = "app.kubernetes.io/component"


class Component(StrEnum):
    """The kinds of pods of a training."""

    SERVER = "server"
    AGGREGATOR = "aggregator"
    CLIENT = "client"


def selector(training: Training, component: Component | None = None, client: str | None = None) -> dict[str, str]:
    """The labels that tell these pods of this training from all others; they never change."""
    labels = {TRAINING_LABEL: training.name}
    if component is not None:
        labels[COMPONENT_LABEL] = component.value
    if client is not None:
        labels[CLIENT_LABEL] = client
    return labels


def label_selector(
    training: Training, component: Component | None = None, client: str | None = None
) -> V1LabelSelector:
    """``selector`` as Kubernetes takes it."""
    return V1LabelSelector(match_labels=selector(training, component, client))


def labels(training: Training, component: Component | None = None, client: str | None = None) -> dict[str, str]:
    """All labels of an object."""
    common = {
        "app.kubernetes.io/name": "shieldwall",
        "app.kubernetes.io/instance": training.name,
        "app.kubernetes.io/part-of": "shieldwall",
        "app.kubernetes.io/managed-by": "shieldwall",
    }
    return common | selector(training, component, client)


def metadata(
    training: Training,
    name: str,
    component: Component | None = None,
    client: str | None = None,
    annotations: dict[str, str] | None = None,
) -> V1ObjectMeta:
    """Metadata of an object that goes when the training goes."""
    return V1ObjectMeta(
        name=name,
        namespace=training.namespace,
        labels=labels(training, component, client),
        annotations=annotations,
        owner_references=_owners(training),
    )


def _owners(training: Training) -> list[V1OwnerReference] | None:
    if training.uid is None:
        return None
    owner = V1OwnerReference(
        api_version=API_VERSION,
        kind=KIND,
        name=training.name,
        uid=training.uid,
        controller=True,
        block_owner_deletion=True,
    )
    return [owner]
