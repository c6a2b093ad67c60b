"""spec: all that people say about a training."""

from typing import Annotated

from pydantic import Field

from shieldwall.contract.cohort import clients_asked
from shieldwall.contract.policy import PreAggregation, Rule
from shieldwall.control.api.aggregation import Aggregation
from shieldwall.control.api.app import App
from shieldwall.control.api.clients import Client
from shieldwall.control.api.contribution import Contribution, ContributionPolicy
from shieldwall.control.api.fields import ApiModel
from shieldwall.control.api.identity import IdentityPolicy
from shieldwall.control.api.privacy import Privacy, PrivacyMode
from shieldwall.control.api.queries import Queries
from shieldwall.control.api.residency import Residency
from shieldwall.control.api.resources import PodTemplate, Storage
from shieldwall.control.api.rounds import MAX_CLIENTS, Rounds
from shieldwall.control.api.transitions import kept, unchanged
from shieldwall.control.api.validation import Validation, ValidationPolicy


class FederatedTrainingSpec(ApiModel):
    """What is wanted: a Flower app, its clients, and the wall around them."""

    app: Annotated[
        App,
        Field(
            json_schema_extra={
                "x-kubernetes-validations": [
                    kept(
                        "serverApp",
                        "A training keeps its mode, managed (model) or wrapped (serverApp). Make a new one.",
                    )
                ]
            }
        ),
    ]
    """The user's Flower app and the image it is installed in."""
    rounds: Rounds
    """How many rounds, and when one may go on."""
    clients: Annotated[
        tuple[Client, ...],
        Field(
            min_length=1,
            max_length=MAX_CLIENTS,
            json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]},
        ),
    ]
    """Who takes part. Names must differ."""
    client_template: PodTemplate = PodTemplate.model_validate({})
    """What client pods have in common."""
    aggregator_template: PodTemplate = PodTemplate.model_validate({})
    """Where the aggregator pod runs, and with what."""
    aggregation: Aggregation = Aggregation.model_validate({})
    """How a round's updates become one."""
    validation: Validation = Validation.model_validate({})
    """Which updates are outliers, and what becomes of them."""
    privacy: Privacy | None = None
    """Differential privacy."""
    contribution: Contribution = Contribution.model_validate({})
    """The watch on free-riders."""
    identity: IdentityPolicy = IdentityPolicy.model_validate({})
    """Certificates and who issues them."""
    residency: Residency | None = None
    """Where data may be worked on, and what for."""
    queries: Queries = Queries.model_validate({})
    """The gateway through which the model may be asked."""
    storage: Annotated[
        Storage,
        Field(
            json_schema_extra={
                "x-kubernetes-validations": [
                    unchanged("server", "The size of a volume cannot be changed later."),
                    unchanged("model", "The size of a volume cannot be changed later."),
                    unchanged("storageClassName", "The class of the volumes cannot be changed later."),
                ]
            }
        ),
    ] = Storage.model_validate({})
    """The training's own volumes."""
    suspend: bool = False
    """True stops the training and keeps what it has reached."""

    @property
    def privacy_mode(self) -> PrivacyMode:
        """As given, or the default: None where nothing is said of privacy, else RecordLevel."""
        if self.privacy is None:
            return PrivacyMode.NONE
        return self.privacy.mode or PrivacyMode.RECORD_LEVEL

    @property
    def max_norm(self) -> float | None:
        """To which updates are clipped on the server: by aggregation, or by the mode that calibrates noise for it."""
        if self.privacy_mode is PrivacyMode.CLIENT_LEVEL_CENTRAL and self.privacy is not None:
            return self.privacy.clip
        return self.aggregation.max_norm

    @property
    def min_replies(self) -> int:
        """Replies that a round needs: as given, or the clients asked less f, and never fewer than the rule needs.

        Waiting for n − f replies is the most that f silent liars cannot hold up.
        """
        if self.rounds.min_replies is not None:
            return self.rounds.min_replies
        asked = clients_asked(self.rounds.fraction_train, len(self.clients), 1)
        return max(asked - self.aggregation.tolerated, self.aggregation.replies_with_select)

    @property
    def asked(self) -> int:
        """How many clients a round asks."""
        return clients_asked(self.rounds.fraction_train, len(self.clients), self.min_replies)

    @property
    def pre_aggregation(self) -> PreAggregation | None:
        """What is done before the rule: as given, or the default that privacy.mode allows.

        Mixing has no bounded sensitivity, so it is no default where the noise is calibrated for the rule.
        """
        if self.aggregation.pre_aggregation is not None:
            return self.aggregation.before
        central = self.privacy_mode is PrivacyMode.CLIENT_LEVEL_CENTRAL
        mixes = self.aggregation.rule is Rule.FED_TRIMMED_AVG and not central
        return PreAggregation.NEAREST_NEIGHBOR_MIXING if mixes else None

    @property
    def contribution_policy(self) -> ContributionPolicy:
        """As given, or the default that privacy.mode allows."""
        if self.contribution.policy is not None:
            return self.contribution.policy
        by_client = self.privacy_mode in {PrivacyMode.CLIENT_LEVEL_LOCAL, PrivacyMode.CLIENT_LEVEL_CENTRAL}
        return ContributionPolicy.NONE if by_client else ContributionPolicy.INNOVATION

    @property
    def validation_policy(self) -> ValidationPolicy:
        """As given, or the default that privacy.mode allows."""
        if self.validation.policy is not None:
            return self.validation.policy
        central = self.privacy_mode is PrivacyMode.CLIENT_LEVEL_CENTRAL
        return ValidationPolicy.NONE if central else ValidationPolicy.REJECT
