"""RuntimePolicy: the file by which the operator tells the pods what must hold. Versioned JSON.

The operator writes it into a ConfigMap; pods read it at start and refuse a version or a field they do not know.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from shieldwall.contract.identity import Federation as FederationId
from shieldwall.contract.privacy import PrivacyPolicy

POLICY_VERSION = 1
FEWEST_FOR_BANS = 6
"""With fewer clients that are scored, free-riders are only reported: medians of a handful tell little."""

ConfigValue = bool | int | float | str
"""What Flower allows in a run or node configuration."""


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Rule(StrEnum):
    """How updates become one; Flower's names where Flower has the rule, the papers' otherwise."""

    FED_AVG = "FedAvg"
    CLIPPED_MEAN = "ClippedMean"
    FED_MEDIAN = "FedMedian"
    FED_TRIMMED_AVG = "FedTrimmedAvg"
    KRUM = "Krum"
    MULTI_KRUM = "MultiKrum"
    BULYAN = "Bulyan"
    GEOMETRIC_MEDIAN = "GeometricMedian"
    CENTERED_CLIPPING = "CenteredClipping"


class PreAggregation(StrEnum):
    """What is done to the updates before the rule."""

    NEAREST_NEIGHBOR_MIXING = "NearestNeighborMixing"
    """Each becomes the mean of the n − f that are nearest to it."""
    BUCKETING = "Bucketing"
    """They are averaged in random buckets."""


class Mode(StrEnum):
    """Whose ServerApp runs."""

    MANAGED = "Managed"
    """Ours; no user code sees a raw update."""
    WRAPPED = "Wrapped"
    """The user's, handed replies that all carry the policy's aggregate."""


class TooFewReplies(StrEnum):
    """What becomes of a round that too few replies were admitted to."""

    REPEAT = "Repeat"
    """It is tried again, up to five times; then the run fails."""
    SKIP = "Skip"
    """It releases nothing, and the next round goes on from the model as it was."""


class FederationPolicy(_Model):
    """Which training this is."""

    uid: str
    trust_domain: str
    namespace: str
    name: str

    @property
    def id(self) -> FederationId:
        """The identities' prefix."""
        return FederationId(self.trust_domain, self.namespace, self.name)


class AppPolicy(_Model):
    """The user's Flower app, as import references ``module:attribute``."""

    image: str = ""
    """The image that holds it: another one is another policy, and a training that failed is tried again."""
    client_app: str
    server_app: str | None = None
    model: str | None = None
    evaluate: str | None = None
    config: dict[str, ConfigValue] = {}

    @property
    def mode(self) -> Mode:
        """Wrapped when the app brings its own ServerApp."""
        return Mode.WRAPPED if self.server_app is not None else Mode.MANAGED


class RoundsPolicy(_Model):
    """How many rounds, and when a round may go on."""

    count: Annotated[int, Field(ge=1)]
    fraction_train: Annotated[float, Field(gt=0, le=1)] = 1.0
    min_replies: Annotated[int, Field(ge=1)]
    timeout_seconds: Annotated[int, Field(ge=1)] = 600
    grace_seconds: Annotated[int, Field(ge=0)] = 30
    """Once ``min_replies`` replies are admitted, the rest have this much longer."""
    on_too_few_replies: TooFewReplies = TooFewReplies.REPEAT


class AggregationPolicy(_Model):
    """The rule and its parameters."""

    rule: Rule
    byzantine: Annotated[int, Field(ge=0)] = 0
    """f: how many replies of a round may be lies."""
    beta: Annotated[float, Field(ge=0, lt=0.5)] | None = None
    """FedTrimmedAvg: the fraction cut at each end; the larger of it and f/n is used."""
    select: Annotated[int, Field(ge=1)] | None = None
    """MultiKrum: m, how many updates are averaged; n − f when absent."""
    pre_aggregation: PreAggregation | None = None
    """What is done to the updates before the rule."""
    bucket_size: Annotated[int, Field(ge=2)] | None = None
    """Bucketing: s, how many updates are averaged in a bucket; 2 when absent."""
    max_norm: Annotated[float, Field(gt=0)] | None = None
    """Updates with a larger L2 norm are scaled down to it before they are averaged. CenteredClipping: the radius τ."""
    reject_norm: Annotated[float, Field(gt=0)] = 10_000.0
    """Replies whose update has a larger L2 norm are refused."""


class ValidationPolicy(_Model):
    """Which updates are outliers. Scores are robust z-scores: deviations from the median, by the MAD."""

    reject: bool = True
    """False: outliers are told and take part."""
    norm_z: Annotated[float, Field(gt=0)] = 8.0
    """Against the norms of the round, on a logarithmic scale."""
    distance_z: Annotated[float, Field(gt=0)] = 8.0
    """Against the round's median distances to the others, on a logarithmic scale."""
    own_norm_z: Annotated[float, Field(gt=0)] = 12.0
    """Against the client's own earlier norms, each relative to its round."""
    own_distance_z: Annotated[float, Field(gt=0)] = 12.0
    """Against the client's own earlier distances, each relative to its round."""
    duplicate_cosine: Annotated[float, Field(gt=0, lt=1)] = 0.9995
    """Two updates of a round that are nearer to each other are one update."""


class ContributionKind(StrEnum):
    """By what strikes are given."""

    INNOVATION = "Innovation"
    MIN_COSINE = "MinCosine"


class ContributionPolicy(_Model):
    """How free-riders are told apart, and what becomes of them."""

    kind: ContributionKind = ContributionKind.INNOVATION
    min_cosine: Annotated[float, Field(ge=-1, le=1)] | None = None
    """A cosine with the aggregate below it is told; under MinCosine it is a strike."""
    strikes: Annotated[int, Field(ge=1)] = 5
    """So many more rounds with a flag than without ban a client."""
    ban_rounds: Annotated[int, Field(ge=1)] = 20
    """So long a ban lasts; probation follows."""
    dry_run: bool = False
    """True: nobody is banned, and who would be is told."""
    exempt: tuple[str, ...] = ()
    """Names of clients that are scored and never banned."""


class ClientPolicy(_Model):
    """One client that may take part."""

    name: str
    node_public_key: str
    """The Flower node key, SubjectPublicKeyInfo PEM."""


class RuntimePolicy(_Model):
    """All that the pods of one training go by."""

    version: Literal[1] = 1
    federation: FederationPolicy
    app: AppPolicy
    rounds: RoundsPolicy
    aggregation: AggregationPolicy
    validation: ValidationPolicy | None = None
    """None: no statistics decide about a reply."""
    contribution: ContributionPolicy | None = None
    """None: contribution is not looked at."""
    privacy: PrivacyPolicy | None = None
    """None: what is released is not private."""
    require_signatures: bool = True
    """False only in the unprotected baseline of a demonstration; the API offers no such field."""
    clients: tuple[ClientPolicy, ...] = ()
    """Empty in the copy that client pods get."""

    def to_json(self) -> str:
        """The file's bytes: the same policy always gives the same text."""
        return self.model_dump_json(indent=1) + "\n"

    @classmethod
    def from_json(cls, text: str) -> RuntimePolicy:
        """Read the file; raises pydantic.ValidationError naming the field."""
        return cls.model_validate_json(text)

    def for_clients(self) -> RuntimePolicy:
        """The copy for client pods: nothing about other clients, and nothing of how they are watched."""
        return self.model_copy(update={"clients": (), "validation": None, "contribution": None})
