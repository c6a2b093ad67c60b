"""The FederatedTraining as a document, and as the domain object that everything below the API works with."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Final, Literal

from pydantic import ConfigDict, Field

from shieldwall.control.api.fields import LABEL, TRAINING_NAME, ApiModel
from shieldwall.control.api.requests import ReinstatementRequests, RenewalRequests
from shieldwall.control.api.spec import FederatedTrainingSpec

GROUP: Final = "shieldwall.dev"
VERSION: Final = "v1alpha1"
API_VERSION: Final = "shieldwall.dev/v1alpha1"
KIND: Final = "FederatedTraining"
PLURAL: Final = "federatedtrainings"

MAX_TRAINING_NAME: Final = 30
"""With a client's name of 24, every derived name stays within the 63 characters of a label."""

RESERVED_WORDS: Final = (
    "aggregator",
    "ca",
    "client",
    "node",
    "policy",
    "server",
    "superexec",
    "tls",
    "trust",
)
"""Words that follow a training's name, after a dash, in the names of its objects. A training whose own name held one
could own objects of the same name as another training's."""


class Metadata(ApiModel):
    """What is read of an object's metadata; the rest is Kubernetes' own."""

    model_config = ConfigDict(extra="ignore")

    name: Annotated[str, Field(min_length=1, max_length=MAX_TRAINING_NAME, pattern=TRAINING_NAME)]
    """Name of the training."""
    namespace: Annotated[str, Field(min_length=1, max_length=63, pattern=LABEL)] = "default"
    """Namespace of the training."""
    uid: Annotated[str, Field(min_length=1, max_length=64)] | None = None
    """Set by the API server."""
    generation: Annotated[int, Field(ge=0)] | None = None
    """Set by the API server: one more at each change of the spec."""


class Manifest(ApiModel):
    """A FederatedTraining as it is written. Its status is the operator's and not read."""

    model_config = ConfigDict(extra="forbid")

    api_version: Literal["shieldwall.dev/v1alpha1"]
    """shieldwall.dev/v1alpha1."""
    kind: Literal["FederatedTraining"]
    """FederatedTraining."""
    metadata: Metadata
    """Name and namespace."""
    spec: FederatedTrainingSpec
    """What is wanted."""


@dataclass(frozen=True, slots=True)
class Training:
    """A valid training. Whoever holds one need not check it again."""

    name: str
    namespace: str
    uid: str | None
    """None for a file that no API server has seen."""
    generation: int | None
    spec: FederatedTrainingSpec
    requests: RenewalRequests = field(default_factory=RenewalRequests)
    """Certificates that people want renewed."""
    reinstatements: ReinstatementRequests = field(default_factory=ReinstatementRequests)
    """Banned clients that people want back."""
    paused: bool = False
    """Whether nothing may be written but the status."""
    unclear_pause: str = ""
    """What was written, quoted, in place of a pause and is not understood."""

    @property
    def renewal_requests(self) -> Mapping[str, str]:
        """By subject (``all``, ``server``, ``aggregator``, ``client.<name>``): the nonce of the request."""
        return self.requests.nonces
