"""NetworkPolicies: everything is closed both ways, then each kind of pod gets what it needs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kubernetes.client import (
    V1IPBlock,
    V1LabelSelector,
    V1NetworkPolicy,
    V1NetworkPolicyEgressRule,
    V1NetworkPolicyIngressRule,
    V1NetworkPolicyPeer,
    V1NetworkPolicyPort,
    V1NetworkPolicySpec,
)

from shieldwall.contract import ports
from shieldwall.control.plan.labels import Component, label_selector, metadata

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from shieldwall.control.api.training import Training
    from shieldwall.control.plan.names import Names
    from shieldwall.control.plan.settings import DnsPeer, PlanSettings

_DNS = 53


def network_policies(training: Training, settings: PlanSettings, names: Names) -> tuple[V1NetworkPolicy, ...]:
    """The training's policies; each selects pods of this training only."""
    metrics = _from(
        V1NetworkPolicyPeer(namespace_selector=_labels(settings.monitoring_namespace_labels)), ports.METRICS
    )
    operator = V1NetworkPolicyPeer(
        namespace_selector=_labels({"kubernetes.io/metadata.name": settings.operator_namespace}),
        pod_selector=_labels(settings.operator_labels),
    )
    server = _pods(training, Component.SERVER)
    dns = _dns(settings.dns)
    return (
        _policy(training, names.default_deny, None, [], []),
        _policy(
            training,
            names.server,
            Component.SERVER,
            [
                _from(_pods(training, Component.CLIENT), ports.FLEET),
                _from(operator, ports.STEWARD),
                _from(_pods(training, Component.AGGREGATOR), ports.RUNTIME),
                metrics,
            ],
            [],
        ),
        _policy(training, names.aggregator, Component.AGGREGATOR, [metrics], [dns, _to(server, ports.RUNTIME)]),
        _policy(training, names.clients, Component.CLIENT, [metrics], [dns, _to(server, ports.FLEET)]),
    )


def _policy(
    training: Training,
    name: str,
    component: Component | None,
    ingress: Sequence[V1NetworkPolicyIngressRule],
    egress: Sequence[V1NetworkPolicyEgressRule],
) -> V1NetworkPolicy:
    return V1NetworkPolicy(
        api_version="networking.k8s.io/v1",
        kind="NetworkPolicy",
        metadata=metadata(training, name, component),
        spec=V1NetworkPolicySpec(
            pod_selector=label_selector(training, component),
            policy_types=["Ingress", "Egress"],
            ingress=list(ingress),
            egress=list(egress),
        ),
    )


def _pods(training: Training, component: Component) -> V1NetworkPolicyPeer:
    """Pods of this training, in its namespace."""
    return V1NetworkPolicyPeer(pod_selector=label_selector(training, component))


def _labels(wanted: Mapping[str, str]) -> V1LabelSelector:
    return V1LabelSelector(match_labels=dict(wanted))


def _tcp(port: int) -> V1NetworkPolicyPort:
    return V1NetworkPolicyPort(protocol="TCP", port=port)


def _from(peer: V1NetworkPolicyPeer, port: int) -> V1NetworkPolicyIngressRule:
    rule = V1NetworkPolicyIngressRule(ports=[_tcp(port)])
    # kubernetes 37 drops var_from= without a word when it is an argument; a rule without it lets everybody in.
    rule.var_from = [peer]
    return rule


def _to(peer: V1NetworkPolicyPeer, port: int) -> V1NetworkPolicyEgressRule:
    return V1NetworkPolicyEgressRule(to=[peer], ports=[_tcp(port)])


def _dns(dns: DnsPeer) -> V1NetworkPolicyEgressRule:
    pods = V1NetworkPolicyPeer(namespace_selector=_labels(dns.namespace_labels), pod_selector=_labels(dns.pod_labels))
    addresses = [V1NetworkPolicyPeer(ip_block=V1IPBlock(cidr=cidr)) for cidr in dns.cidrs]
    return V1NetworkPolicyEgressRule(
        to=[pods, *addresses], ports=[V1NetworkPolicyPort(protocol="UDP", port=_DNS), _tcp(_DNS)]
    )
