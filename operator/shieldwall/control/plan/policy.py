"""The RuntimePolicy, and the ConfigMaps of policy and trust."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Final

from kubernetes.client import V1ConfigMap

from shieldwall.contract.policy import (
    AppPolicy,
    ClientPolicy,
    ContributionKind,
    ContributionPolicy,
    FederationPolicy,
    RoundsPolicy,
    RuntimePolicy,
    ValidationPolicy,
)
from shieldwall.contract.privacy import PrivacyMode
from shieldwall.control.api.aggregation_policy import aggregation_policy
from shieldwall.control.api.calibration import calibrated
from shieldwall.control.api.contribution import ContributionPolicy as Contribution
from shieldwall.control.api.validation import ValidationPolicy as Validation
from shieldwall.control.plan.labels import metadata

if TYPE_CHECKING:
    from collections.abc import Mapping

    from shieldwall.control.api.training import Training
    from shieldwall.control.plan.names import Names
    from shieldwall.control.plan.orders import Trust
    from shieldwall.control.plan.settings import PlanSettings

POLICY_FILE: Final = "policy.json"
POLICY_HASH: Final = "shieldwall.dev/policy-hash"
"""Annotation of pod templates: pods read the policy at start, so those that a change concerns start again."""

_HASH_CHARACTERS: Final = 16


def runtime_policy(training: Training, settings: PlanSettings, node_keys: Mapping[str, str]) -> RuntimePolicy:
    """The policy with the clients whose node keys are known.

    Raises InvalidTrainingError where no noise keeps what is wanted of privacy; a second of work where it is amplified
    by sampling and was not calculated before.
    """
    clients = (client.name for client in training.spec.clients)
    return RuntimePolicy(
        federation=FederationPolicy(
            uid=training.uid or f"{training.namespace}/{training.name}",
            trust_domain=settings.trust_domain,
            namespace=training.namespace,
            name=training.name,
        ),
        app=_app(training),
        rounds=_rounds(training),
        aggregation=aggregation_policy(training.spec),
        validation=_validation(training),
        contribution=_contribution(training),
        privacy=calibrated(training.spec),
        clients=tuple(
            ClientPolicy(name=name, node_public_key=node_keys[name]) for name in clients if name in node_keys
        ),
    )


def _app(training: Training) -> AppPolicy:
    app = training.spec.app
    return AppPolicy(
        image=app.image,
        client_app=app.client_app,
        server_app=app.server_app,
        model=app.model,
        evaluate=app.evaluate,
        config=dict(sorted(app.config.items())),
    )


def _rounds(training: Training) -> RoundsPolicy:
    rounds = training.spec.rounds
    return RoundsPolicy(
        count=rounds.count,
        fraction_train=rounds.fraction_train,
        min_replies=training.spec.min_replies,
        timeout_seconds=rounds.timeout_seconds,
        grace_seconds=rounds.grace_seconds,
        on_too_few_replies=rounds.on_too_few_replies,
    )


def _validation(training: Training) -> ValidationPolicy | None:
    validation, policy = training.spec.validation, training.spec.validation_policy
    if policy is Validation.NONE:
        return None
    return ValidationPolicy(
        reject=policy is Validation.REJECT,
        norm_z=validation.norm_z,
        distance_z=validation.distance_z,
        own_norm_z=validation.own_norm_z,
        own_distance_z=validation.own_distance_z,
        duplicate_cosine=validation.duplicate_cosine,
    )


def _contribution(training: Training) -> ContributionPolicy | None:
    contribution, policy = training.spec.contribution, training.spec.contribution_policy
    if policy is Contribution.NONE:
        return None
    return ContributionPolicy(
        kind=ContributionKind(policy.value),
        min_cosine=contribution.min_cosine,
        strikes=contribution.ban.strikes,
        ban_rounds=contribution.ban.rounds,
        dry_run=contribution.ban.dry_run,
        exempt=tuple(sorted(contribution.ban.exempt)),
    )


def policy_hash(policy: RuntimePolicy) -> str:
    """Changes with anything in the policy: server and aggregator start again."""
    return _hash(policy.to_json())


def client_policy_hash(policy: RuntimePolicy) -> str:
    """Changes with what client pods go by, who they are, what they run and the noise that they add themselves.

    Not with rounds, rule or other clients, but for what of these decides the noise.
    """
    privacy = policy.privacy
    added_there = privacy is not None and privacy.mode is not PrivacyMode.CLIENT_LEVEL_CENTRAL
    own = privacy.model_dump_json() if privacy is not None and added_there else ""
    return _hash(policy.federation.model_dump_json() + policy.app.model_dump_json() + own)


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:_HASH_CHARACTERS]


def policy_config_map(training: Training, name: str, policy: RuntimePolicy) -> V1ConfigMap:
    """A policy as pods mount it."""
    return _config_map(training, name, {POLICY_FILE: policy.to_json()})


def trust_config_map(training: Training, names: Names, trust: Trust) -> V1ConfigMap:
    """Bundle and CRL in one volume, so that they change at once."""
    return _config_map(training, names.trust, {"ca.crt": trust.ca, "ca.crl": trust.crl})


def _config_map(training: Training, name: str, data: dict[str, str]) -> V1ConfigMap:
    return V1ConfigMap(api_version="v1", kind="ConfigMap", metadata=metadata(training, name), data=data)
