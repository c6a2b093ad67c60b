"""The server pod: proxy, SuperLink and steward. No user code, and everything on loopback but the proxy."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kubernetes.client import (
    V1Container,
    V1StatefulSet,
    V1StatefulSetPersistentVolumeClaimRetentionPolicy,
    V1StatefulSetSpec,
)

from shieldwall.contract import ports, routes
from shieldwall.control.plan import volumes
from shieldwall.control.plan.accepted import SPEC_DIGEST
from shieldwall.control.plan.container import FLOWER_USER, container, flower_env, resources_of, runtime_image
from shieldwall.control.plan.labels import Component, label_selector, metadata
from shieldwall.control.plan.pod import init_container, pod_template, proxy_container, replicas
from shieldwall.control.plan.policy import policy_hash
from shieldwall.control.plan.probes import http_probes

if TYPE_CHECKING:
    from kubernetes.client import V1Volume

    from shieldwall.contract.policy import RuntimePolicy
    from shieldwall.control.api.training import Training
    from shieldwall.control.plan.names import Names
    from shieldwall.control.plan.settings import PlanSettings

_OUTER_PORTS = {"fleet": ports.FLEET, "steward": ports.STEWARD, "runtime": ports.RUNTIME}


def server_stateful_set(
    training: Training, settings: PlanSettings, names: Names, policy: RuntimePolicy, spec_digest: str
) -> V1StatefulSet:
    """One replica: Flower keeps its nodes and runs in SQLite."""
    template = pod_template(
        training,
        settings,
        Component.SERVER,
        account=names.server,
        policy_hash=policy_hash(policy),
        init_containers=[
            init_container(settings),
            proxy_container(settings, Component.SERVER, env={}, container_ports=_OUTER_PORTS),
        ],
        containers=[_superlink(settings), _steward(settings)],
        pod_volumes=_volumes(names),
    )
    return V1StatefulSet(
        api_version="apps/v1",
        kind="StatefulSet",
        metadata=metadata(training, names.server, Component.SERVER, annotations={SPEC_DIGEST: spec_digest}),
        spec=V1StatefulSetSpec(
            replicas=replicas(training),
            revision_history_limit=2,
            selector=label_selector(training, Component.SERVER),
            service_name=names.server_headless,
            template=template,
            volume_claim_templates=[
                volumes.claim_template(training, Component.SERVER, volumes.STATE, training.spec.storage.server)
            ],
            # Nodes and runs mean nothing to another training.
            persistent_volume_claim_retention_policy=V1StatefulSetPersistentVolumeClaimRetentionPolicy(
                when_deleted="Delete", when_scaled="Retain"
            ),
        ),
    )


def _superlink(settings: PlanSettings) -> V1Container:
    return container(
        "superlink",
        ["superlink"],
        image=runtime_image(settings),
        user=FLOWER_USER,
        mounts=[
            volumes.mount(volumes.LOCAL_TLS),
            volumes.mount(volumes.LOCAL_TRUST),
            volumes.mount(volumes.SUPEREXEC),
            volumes.mount(volumes.STATE, writable=True),
            *volumes.scratch_mounts("superlink"),
        ],
        resources=resources_of(settings.superlink_resources),
        env=flower_env(),
        # Slow to give up: the answer comes through the proxy.
        probes=http_probes(routes.HEALTH_SUPERLINK, liveness_failures=6),
    )


def _steward(settings: PlanSettings) -> V1Container:
    return container(
        "steward",
        ["steward"],
        image=runtime_image(settings),
        user=FLOWER_USER,
        mounts=[
            volumes.mount(volumes.POLICY),
            volumes.mount(volumes.LOCAL_TRUST),
            volumes.mount(volumes.SOCKETS, writable=True),
            volumes.mount(volumes.STATE, writable=True),
            *volumes.scratch_mounts("steward"),
        ],
        resources=resources_of(settings.steward_resources),
        env=flower_env(),
        probes=http_probes(routes.HEALTH_STEWARD),
    )


def _volumes(names: Names) -> list[V1Volume]:
    return [
        volumes.config_map(volumes.POLICY, names.policy),
        volumes.secret(volumes.TLS, names.server_tls, "tls.crt", "tls.key"),
        volumes.config_map(volumes.TRUST, names.trust),
        volumes.secret(volumes.SUPEREXEC, names.superexec, "superexec"),
        *volumes.memory(volumes.LOCAL_TLS, volumes.LOCAL_TRUST, volumes.SOCKETS),
        *volumes.scratch("superlink", "steward"),
    ]
