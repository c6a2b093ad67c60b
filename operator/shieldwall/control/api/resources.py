"""What pods ask of the cluster: processors, memory, nodes, volumes."""

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from shieldwall.control.api.fields import ApiModel, LabelValue, ObjectName, QualifiedName, Quantity, Size

ResourceList = Annotated[dict[QualifiedName, Quantity], Field(max_length=16)]
NodeSelector = Annotated[dict[QualifiedName, LabelValue], Field(max_length=16)]


class Resources(ApiModel):
    """Requests and limits of the container that runs the user's code."""

    requests: ResourceList = Field(default_factory=dict)
    """What the scheduler sets aside, such as cpu, memory or nvidia.com/gpu."""
    limits: ResourceList = Field(default_factory=dict)
    """What the container may use at most."""


class TolerationOperator(StrEnum):
    """How a toleration's value is compared."""

    EXISTS = "Exists"
    EQUAL = "Equal"


class TaintEffect(StrEnum):
    """What a taint does."""

    NO_SCHEDULE = "NoSchedule"
    PREFER_NO_SCHEDULE = "PreferNoSchedule"
    NO_EXECUTE = "NoExecute"


class Toleration(ApiModel):
    """A taint that the pod puts up with."""

    key: QualifiedName | None = None
    """Key of the taint; all keys when absent."""
    operator: TolerationOperator = TolerationOperator.EQUAL
    """Whether the value counts."""
    value: LabelValue | None = None
    """Value of the taint."""
    effect: TaintEffect | None = None
    """Effect of the taint; all effects when absent."""
    toleration_seconds: Annotated[int, Field(ge=0, le=31_536_000)] | None = None
    """With NoExecute: seconds until the pod is evicted after all."""


class PodTemplate(ApiModel):
    """Where pods with the user's code run, and with what."""

    resources: Resources | None = None
    """Requests and limits of the container that runs the user's code; modest ones when absent."""
    node_selector: NodeSelector = Field(default_factory=dict)
    """Labels of the nodes the pods may run on."""
    tolerations: Annotated[tuple[Toleration, ...], Field(max_length=16)] = ()
    """Taints the pods put up with."""


class Storage(ApiModel):
    """Sizes of the training's own volumes. They cannot be changed later."""

    server: Size = "1Gi"
    """Volume for the state of the server: Flower's database and the steward's."""
    model: Size = "5Gi"
    """Volume for checkpoints and round records. It is kept when the training is deleted."""
    storage_class_name: ObjectName | None = None
    """StorageClass of both volumes; the cluster's default when absent."""
