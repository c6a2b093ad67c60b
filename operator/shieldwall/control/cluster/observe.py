"""Reads what exists of a training out of the store, in the words of the plan."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from shieldwall.control.cluster.fill import RENEWED_FOR
from shieldwall.control.cluster.kinds import CONFIG_MAP, DEPLOYMENT, SECRET, STATEFUL_SET
from shieldwall.control.plan.names import Names
from shieldwall.control.plan.orders import Observed, Trust
from shieldwall.control.status.sight import Workload

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from cryptography import x509

    from shieldwall.control.api.training import Training
    from shieldwall.control.cluster.api import Json
    from shieldwall.control.cluster.live import Live
    from shieldwall.control.cluster.store import ObjectName

WORKLOADS: Final = frozenset({STATEFUL_SET.kind, DEPLOYMENT.kind})
"""Kinds that make pods."""


def owned_by(uid: str | None, owned: Mapping[ObjectName, Live]) -> dict[ObjectName, Live]:
    """Those of ``owned`` that the training of that uid controls."""
    return {name: live for name, live in owned.items() if live.owner is not None and live.owner.uid == uid}


def runs(training: Training, owned: Mapping[ObjectName, Live]) -> bool:
    """Whether the training has workloads of its own, not merely of its name."""
    return any(kind in WORKLOADS for kind, _ in owned_by(training.uid, owned))


def observed_of(training: Training, owned: Mapping[ObjectName, Live]) -> Observed:
    """What exists, of what the training itself owns. ``trust`` is as published, whether it still serves or not."""
    return _observed(Names(training.name), owned_by(training.uid, owned), [each.name for each in training.spec.clients])


def remains_of(name: str, uid: str, owned: Mapping[ObjectName, Live]) -> Observed:
    """The same of a training of which no spec is known, without node keys: certificates and lists end all the same."""
    return _observed(Names(name), owned_by(uid, owned), ())


def _observed(names: Names, mine: Mapping[ObjectName, Live], clients: Iterable[str]) -> Observed:
    secrets = {name: live for (kind, name), live in mine.items() if kind == SECRET.kind and live.secret is not None}
    authority = secrets[names.authority].secret if names.authority in secrets else None
    leaves: dict[str, x509.Certificate] = {}
    renewals: dict[str, str] = {}
    for name, live in secrets.items():
        if live.secret is not None and live.secret.leaf is not None:
            leaves[name] = live.secret.leaf
            renewals[name] = live.annotations.get(RENEWED_FOR, "")
    node_keys = {}
    for client in clients:
        held = secrets.get(names.client_node(client))
        if held is not None and held.secret is not None and held.secret.node_key is not None:
            node_keys[client] = held.secret.node_key
    return Observed(
        trust=_trust(mine.get((CONFIG_MAP.kind, names.trust))),
        issuer=authority.authority if authority is not None else None,
        root=authority.root if authority is not None else None,
        leaves=leaves,
        node_keys=node_keys,
        shared_secrets=frozenset(
            name for name, live in secrets.items() if live.secret is not None and live.secret.shared_secret
        ),
        renewals=renewals,
    )


def _trust(live: Live | None) -> Trust | None:
    data = live.body().get("data") or {} if live is not None else {}
    return Trust(data["ca.crt"], data["ca.crl"]) if "ca.crt" in data and "ca.crl" in data else None


def workloads_of(owned: Mapping[ObjectName, Live]) -> dict[str, Workload]:
    """The training's StatefulSets and Deployments, by name."""
    found = {}
    for (kind, name), live in owned.items():
        if kind in WORKLOADS:
            found[name] = _workload(live.body())
    return found


def _workload(body: Json) -> Workload:
    status = body.get("status") or {}
    wanted = body["spec"].get("replicas", 1)
    updated = status.get("updatedReplicas", 0)
    if body["kind"] == STATEFUL_SET.kind and status.get("updateRevision") == status.get("currentRevision"):
        updated = status.get("replicas", 0)  # a StatefulSet counts none as updated once all are
    seen = status.get("observedGeneration", 0) >= body["metadata"].get("generation", 0)
    return Workload(
        wanted=wanted,
        ready=status.get("readyReplicas", 0),
        current=seen and updated >= wanted and status.get("replicas", 0) == wanted,
    )
