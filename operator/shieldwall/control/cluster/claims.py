"""Which objects a training may own, told by their names alone, and what each of its Secrets is for."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Final

from shieldwall.control.cluster.kinds import (
    CONFIG_MAP,
    DEPLOYMENT,
    DISRUPTION_BUDGET,
    NETWORK_POLICY,
    SECRET,
    SERVICE,
    SERVICE_ACCOUNT,
    STATEFUL_SET,
)
from shieldwall.control.plan.names import Names

if TYPE_CHECKING:
    from shieldwall.control.cluster.kinds import Kind


class Purpose(StrEnum):
    """What a Secret holds."""

    AUTHORITY = "authority"
    LEAF = "leaf"
    NODE_KEY = "node key"
    SHARED = "shared secret"


_ANY: Final = "any"
"""A client's name."""


def may_own(training: str, kind: Kind, name: str) -> bool:
    """Whether a training of that name can have such an object, with clients of whatever names."""
    if kind is SECRET:
        return purpose_of(training, name) is not None
    names = Names(training)
    if kind is DEPLOYMENT:
        return _of_a_client(name, names.client(_ANY))
    parts = {names.server, names.aggregator, names.clients}
    every = {
        CONFIG_MAP: {names.policy, names.client_policy, names.accepted, names.trust},
        SERVICE: {names.server, names.server_headless, names.aggregator},
        NETWORK_POLICY: {names.default_deny, *parts},
        SERVICE_ACCOUNT: parts,
        DISRUPTION_BUDGET: parts,
        STATEFUL_SET: parts,
    }
    return name in every.get(kind, ())


def purpose_of(training: str, secret: str) -> Purpose | None:
    """What the Secret of that name is for; None when a training of that name has no such Secret."""
    names = Names(training)
    if secret == names.authority:
        return Purpose.AUTHORITY
    if secret == names.superexec:
        return Purpose.SHARED
    if secret in {names.server_tls, names.aggregator_tls} or _of_a_client(secret, names.client_tls(_ANY)):
        return Purpose.LEAF
    return Purpose.NODE_KEY if _of_a_client(secret, names.client_node(_ANY)) else None


def _of_a_client(name: str, example: str) -> bool:
    prefix = example.removesuffix(_ANY)
    return name.startswith(prefix) and name != prefix
