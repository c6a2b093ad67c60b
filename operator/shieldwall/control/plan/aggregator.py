"""The aggregator pod: proxy and aggregator, apart from the server because user code runs in it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kubernetes.client import (
    V1Container,
    V1StatefulSet,
    V1StatefulSetPersistentVolumeClaimRetentionPolicy,
    V1StatefulSetSpec,
)

from shieldwall.contract import paths
from shieldwall.control.plan import volumes
from shieldwall.control.plan.accepted import SPEC_DIGEST
from shieldwall.control.plan.container import FLOWER_USER, container, flower_env, user_image, user_resources
from shieldwall.control.plan.labels import Component, label_selector, metadata
from shieldwall.control.plan.pod import init_container, pod_template, proxy_container, replicas
from shieldwall.control.plan.policy import policy_hash
from shieldwall.control.plan.probes import alive_probes
from shieldwall.control.plan.services import server_host

if TYPE_CHECKING:
    from kubernetes.client import V1Volume

    from shieldwall.contract.policy import RuntimePolicy
    from shieldwall.control.api.training import Training
    from shieldwall.control.plan.names import Names
    from shieldwall.control.plan.settings import PlanSettings


def aggregator_stateful_set(
    training: Training, settings: PlanSettings, names: Names, policy: RuntimePolicy, spec_digest: str
) -> V1StatefulSet:
    """One replica with the model and the record of rounds on its volume."""
    placement = training.spec.aggregator_template
    server = {paths.SERVER_VARIABLE: server_host(training, settings, names)}
    template = pod_template(
        training,
        settings,
        Component.AGGREGATOR,
        account=names.aggregator,
        policy_hash=policy_hash(policy),
        init_containers=[
            init_container(settings),
            proxy_container(settings, Component.AGGREGATOR, env=server, container_ports={}),
        ],
        containers=[_aggregator(training, settings)],
        pod_volumes=_volumes(names),
        placement=placement,
        node_selector=placement.node_selector,
    )
    return V1StatefulSet(
        api_version="apps/v1",
        kind="StatefulSet",
        metadata=metadata(training, names.aggregator, Component.AGGREGATOR, annotations={SPEC_DIGEST: spec_digest}),
        spec=V1StatefulSetSpec(
            replicas=replicas(training),
            revision_history_limit=2,
            selector=label_selector(training, Component.AGGREGATOR),
            service_name=names.aggregator,
            template=template,
            volume_claim_templates=[
                volumes.claim_template(training, Component.AGGREGATOR, volumes.MODEL, training.spec.storage.model)
            ],
            persistent_volume_claim_retention_policy=V1StatefulSetPersistentVolumeClaimRetentionPolicy(
                when_deleted=training.spec.storage.model_deletion_policy.value, when_scaled="Retain"
            ),
        ),
    )


def _aggregator(training: Training, settings: PlanSettings) -> V1Container:
    return container(
        "aggregator",
        ["aggregator"],
        image=user_image(training),
        user=FLOWER_USER,
        mounts=[
            volumes.mount(volumes.POLICY),
            volumes.mount(volumes.TRUST),
            volumes.mount(volumes.LOCAL_TRUST),
            volumes.mount(volumes.SUPEREXEC),
            volumes.mount(volumes.MODEL, writable=True),
            *volumes.scratch_mounts("aggregator"),
        ],
        resources=user_resources(training.spec.aggregator_template.resources, settings),
        env=flower_env(),
        probes=alive_probes("aggregator"),
    )


def _volumes(names: Names) -> list[V1Volume]:
    return [
        volumes.config_map(volumes.POLICY, names.policy),
        volumes.secret(volumes.TLS, names.aggregator_tls, "tls.crt", "tls.key"),
        volumes.config_map(volumes.TRUST, names.trust),
        volumes.secret(volumes.SUPEREXEC, names.superexec, "superexec"),
        *volumes.memory(volumes.LOCAL_TLS, volumes.LOCAL_TRUST, volumes.SOCKETS),
        *volumes.scratch("aggregator"),
    ]
