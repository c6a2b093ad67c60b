"""What all pods of a training have in common: the init container, the proxy, and security."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from kubernetes.client import (
    V1Container,
    V1LocalObjectReference,
    V1ObjectMeta,
    V1PodDNSConfig,
    V1PodDNSConfigOption,
    V1PodSecurityContext,
    V1PodSpec,
    V1PodTemplateSpec,
    V1SeccompProfile,
    V1Toleration,
    V1TopologySpreadConstraint,
)

from shieldwall.contract import ports
from shieldwall.control.plan import volumes
from shieldwall.control.plan.container import (
    FLOWER_USER,
    PROXY_USER,
    container,
    resources_of,
    runtime_image,
)
from shieldwall.control.plan.labels import Component, label_selector, labels
from shieldwall.control.plan.policy import POLICY_HASH
from shieldwall.control.plan.probes import http_probes

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from kubernetes.client import V1Volume

    from shieldwall.control.api.resources import PodTemplate
    from shieldwall.control.api.training import Training
    from shieldwall.control.plan.settings import PlanSettings

_GROUP: Final = 65532

_GRACE_SECONDS: Final = 15
_NODE_LABEL: Final = "kubernetes.io/hostname"


def replicas(training: Training) -> int:
    """One; none while the training is suspended. Nothing else differs then, so it goes on where it was."""
    return 0 if training.spec.suspend else 1


def init_container(settings: PlanSettings, *, superexec: bool = False) -> V1Container:
    """Makes the pod-local certificate and, in client pods, the secret of the pod's SuperExec."""
    mounts = [volumes.mount(volumes.LOCAL_TLS, writable=True), volumes.mount(volumes.LOCAL_TRUST, writable=True)]
    if superexec:
        mounts.append(volumes.mount(volumes.SUPEREXEC, writable=True))
    return container(
        "init",
        ["init", "--superexec"] if superexec else ["init"],
        image=runtime_image(settings),
        user=PROXY_USER,
        mounts=mounts,
        resources=resources_of(settings.init_resources),
        env={},
    )


def proxy_container(
    settings: PlanSettings, component: Component, *, env: Mapping[str, str], container_ports: Mapping[str, int]
) -> V1Container:
    """Envoy as a native sidecar: it starts before the others and ends after them."""
    mounts = [volumes.mount(volume) for volume in (volumes.POLICY, volumes.TLS, volumes.TRUST)]
    if component is not Component.SERVER:
        # The server's proxy serves no loopback hop: its clients come from outside, and only the SuperLink has the key.
        mounts.append(volumes.mount(volumes.LOCAL_TLS))
    mounts += [volumes.mount(volumes.LOCAL_TRUST), volumes.mount(volumes.SOCKETS, writable=True)]
    return container(
        "proxy",
        ["proxy", component.value],
        image=runtime_image(settings),
        user=PROXY_USER,
        mounts=mounts,
        resources=resources_of(settings.proxy_resources),
        env=env,
        probes=http_probes("/ready"),
        container_ports={**container_ports, "metrics": ports.METRICS},
        sidecar=True,
    )


def pod_template(  # noqa: PLR0913  # a pod has that many sides, all named
    training: Training,
    settings: PlanSettings,
    component: Component,
    *,
    account: str,
    policy_hash: str,
    init_containers: Sequence[V1Container],
    containers: Sequence[V1Container],
    pod_volumes: Sequence[V1Volume],
    placement: PodTemplate | None = None,
    node_selector: Mapping[str, str] | None = None,
    client: str | None = None,
) -> V1PodTemplateSpec:
    """A pod under the ``restricted`` standard, without a token of the API server."""
    return V1PodTemplateSpec(
        metadata=V1ObjectMeta(labels=labels(training, component, client), annotations={POLICY_HASH: policy_hash}),
        spec=V1PodSpec(
            automount_service_account_token=False,
            containers=list(containers),
            dns_config=V1PodDNSConfig(options=[V1PodDNSConfigOption(name="ndots", value="1")]),
            enable_service_links=False,
            image_pull_secrets=_pull_secrets(training, settings),
            init_containers=list(init_containers),
            node_selector=dict(node_selector) if node_selector else None,
            security_context=_pod_security(),
            service_account_name=account,
            termination_grace_period_seconds=_GRACE_SECONDS,
            tolerations=_tolerations(placement) if placement else None,
            topology_spread_constraints=_spread(training) if component is Component.CLIENT else None,
            volumes=list(pod_volumes),
        ),
    )


def _spread(training: Training) -> list[V1TopologySpreadConstraint]:
    """Clients on different nodes, where there are as many: a node that fails or lies takes few of them with it.

    Server and aggregator have one pod each, and the training needs both: nothing is won by keeping them apart.
    """
    constraint = V1TopologySpreadConstraint(
        label_selector=label_selector(training, Component.CLIENT),
        max_skew=1,
        topology_key=_NODE_LABEL,
        when_unsatisfiable="ScheduleAnyway",
    )
    return [constraint]


def _pod_security() -> V1PodSecurityContext:
    # User and group: with the group alone containerd cannot make the sandbox, and says nothing.
    return V1PodSecurityContext(
        fs_group=_GROUP,
        fs_group_change_policy="OnRootMismatch",
        run_as_group=_GROUP,
        run_as_non_root=True,
        run_as_user=FLOWER_USER,
        seccomp_profile=V1SeccompProfile(type="RuntimeDefault"),
    )


def _pull_secrets(training: Training, settings: PlanSettings) -> list[V1LocalObjectReference] | None:
    own = [secret.name for secret in training.spec.app.image_pull_secrets]
    secrets = dict.fromkeys([*settings.image_pull_secrets, *own])
    return [V1LocalObjectReference(name=name) for name in secrets] or None


def _tolerations(placement: PodTemplate) -> list[V1Toleration] | None:
    return [
        V1Toleration(
            key=each.key,
            operator=each.operator.value,
            value=each.value,
            effect=each.effect.value if each.effect else None,
            toleration_seconds=each.toleration_seconds,
        )
        for each in placement.tolerations
    ] or None
