"""spec.clients: who takes part."""

import re
from typing import Annotated, Final, Self

from pydantic import ConfigDict, Field, model_validator

from shieldwall.control.api.fields import LABEL, ApiModel, NodeScalar, ObjectName, Region
from shieldwall.control.api.resources import NodeSelector, Resources
from shieldwall.control.api.sectionrule import SectionRule, require, validations

MAX_CLIENT_NAME = 24
"""With a training's name of 30, every derived name stays within the 63 characters of a label."""


_OWN_CLAIM: Final = r"^(model|state)-.+-(aggregator|server)-0$"
"""Names that StatefulSets give to the claims of trainings."""

_CLAIM_RULES: Final = (
    SectionRule(
        f"!self.claimName.matches(r'{_OWN_CLAIM}')",
        lambda source: re.fullmatch(_OWN_CLAIM, source.claim_name) is None,
        "A claim of this name is a training's own volume, with its model or its state; a client's code must not read"
        " it. Copy what is to be trained on to another claim.",
    ),
)


class ClaimSource(ApiModel):
    """A PersistentVolumeClaim in the training's namespace."""

    model_config = ConfigDict(json_schema_extra=validations(_CLAIM_RULES))

    claim_name: ObjectName
    """Name of the PersistentVolumeClaim; never of one that a training made for its model or state."""

    @model_validator(mode="after")
    def _keep_rules(self) -> Self:
        require(_CLAIM_RULES, self)
        return self


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
    node_config: Annotated[dict[str, NodeScalar], Field(max_length=32, default_factory=dict)]
    """Flower's node configuration. partition-id and num-partitions are set to the client's place in the list and the
    number of clients unless given here."""
    resources: Resources | None = None
    """Instead of clientTemplate.resources."""
    node_selector: NodeSelector | None = None
    """Instead of clientTemplate.nodeSelector."""
