"""spec.clients: who takes part."""

from typing import Annotated

from pydantic import Field

from shieldwall.control.api.fields import LABEL, ApiModel, NodeConfigKey, NodeScalar, ObjectName, Region
from shieldwall.control.api.resources import NodeSelector, Resources

MAX_CLIENT_NAME = 24
"""With a training's name of 30, every derived name stays within the 63 characters of a label."""


class ClaimSource(ApiModel):
    """A PersistentVolumeClaim in the training's namespace."""

    claim_name: ObjectName
    """Name of the PersistentVolumeClaim."""


class DataVolume(ApiModel):
    """Where a client's data lies."""

    persistent_volume_claim: ClaimSource
    """The claim, mounted read-only at /var/lib/shieldwall/data in the trainer and nowhere else."""


class Client(ApiModel):
    """One client of the federation."""

    name: Annotated[str, Field(min_length=1, max_length=MAX_CLIENT_NAME, pattern=LABEL)]
    """Name of the client; part of its identity and of its objects' names."""
    external: bool = False
    """True for a client that runs outside of this cluster and enrols itself."""
    region: Region | None = None
    """Where the client's data lives. Its pod runs only on nodes labelled topology.kubernetes.io/region with it."""
    data: DataVolume | None = None
    """The client's data volume."""
    node_config: Annotated[dict[NodeConfigKey, NodeScalar], Field(max_length=32, default_factory=dict)]
    """Flower's node configuration. partition-id and num-partitions are set to the client's place in the list and the
    number of clients unless given here."""
    resources: Resources | None = None
    """Instead of clientTemplate.resources."""
    node_selector: NodeSelector | None = None
    """Instead of clientTemplate.nodeSelector."""
