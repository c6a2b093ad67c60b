"""The plan of one training: a pure function of what is wanted, what there is, and the time."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from shieldwall.control.plan.accepted import accepted_config_map, digest_of, spec_text
from shieldwall.control.plan.accounts import service_accounts
from shieldwall.control.plan.aggregator import aggregator_stateful_set
from shieldwall.control.plan.certificates import (
    authority_order,
    certificate_orders,
    node_key_orders,
    shared_secret_orders,
)
from shieldwall.control.plan.client import client_deployment
from shieldwall.control.plan.disruption import client_disruption_budget
from shieldwall.control.plan.names import Names
from shieldwall.control.plan.network import network_policies
from shieldwall.control.plan.orders import Plan
from shieldwall.control.plan.policy import policy_config_map, runtime_policy, trust_config_map
from shieldwall.control.plan.server import server_stateful_set
from shieldwall.control.plan.services import services

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from shieldwall.contract.policy import RuntimePolicy
    from shieldwall.control.api.training import Training
    from shieldwall.control.plan.objects import KubernetesObject
    from shieldwall.control.plan.orders import Observed
    from shieldwall.control.plan.settings import PlanSettings


def build_plan(training: Training, observed: Observed, settings: PlanSettings, now: datetime) -> Plan:
    """Everything that is wanted now. Objects that need what an order has not yet delivered are withheld.

    A withheld object may exist already (a Secret was deleted by hand): prune by complete plans only.
    """
    return replace(orders_of(training, observed, settings, now), objects=objects_of(training, observed, settings))


def orders_of(training: Training, observed: Observed, settings: PlanSettings, now: datetime) -> Plan:
    """What is missing or due: the plan without its objects."""
    names = Names(training.name)
    return Plan(
        authority=authority_order(training, settings, names, observed, now),
        certificates=certificate_orders(training, settings, names, observed, now),
        node_keys=node_key_orders(training, names, observed),
        shared_secrets=shared_secret_orders(names, observed),
        objects=(),
    )


def objects_of(training: Training, observed: Observed, settings: PlanSettings) -> tuple[KubernetesObject, ...]:
    """The plan's objects. Of ``observed`` they take trust, node keys, and which leaves and shared secrets there are."""
    return tuple(_objects(training, settings, Names(training.name), observed))


def _objects(
    training: Training, settings: PlanSettings, names: Names, observed: Observed
) -> Iterator[KubernetesObject]:
    """In the order of their making: what closes and what is mounted before what runs."""
    policy = runtime_policy(training, settings, observed.node_keys)
    accepted = spec_text(training.spec)
    yield from service_accounts(training, names)
    yield from network_policies(training, settings, names)
    if (record := accepted_config_map(training, names, accepted)) is not None:
        yield record
    yield policy_config_map(training, names.client_policy, policy.for_clients())
    if _all_clients_known(training, policy):
        yield policy_config_map(training, names.policy, policy)
    if observed.trust is not None:
        yield trust_config_map(training, names, observed.trust)
    yield from services(training, names)
    yield client_disruption_budget(training, names)
    yield from _pods(training, settings, names, observed, policy, digest_of(accepted))


def _pods(  # noqa: PLR0913, PLR0917  # all that pods are made of
    training: Training,
    settings: PlanSettings,
    names: Names,
    observed: Observed,
    policy: RuntimePolicy,
    spec_digest: str,
) -> Iterator[KubernetesObject]:
    """The server first. Each pod needs every Secret and ConfigMap that it mounts."""
    if observed.trust is None:
        return
    if _all_clients_known(training, policy) and names.superexec in observed.shared_secrets:
        if names.server_tls in observed.leaves:
            yield server_stateful_set(training, settings, names, policy, spec_digest)
        if names.aggregator_tls in observed.leaves:
            yield aggregator_stateful_set(training, settings, names, policy, spec_digest)
    for index, client in enumerate(training.spec.clients):
        if names.client_tls(client.name) in observed.leaves and client.name in observed.node_keys:
            yield client_deployment(training, settings, names, policy, index)


def _all_clients_known(training: Training, policy: RuntimePolicy) -> bool:
    return len(policy.clients) == len(training.spec.clients)
