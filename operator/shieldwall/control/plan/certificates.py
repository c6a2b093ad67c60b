"""Orders of keys and certificates: what is missing, and what is to be renewed and why."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from shieldwall.contract.identity import Federation
from shieldwall.control.plan.orders import AuthorityOrder, CertificateOrder, NodeKeyOrder, SharedSecretOrder
from shieldwall.control.plan.services import server_dns_names
from shieldwall.pki.authority import federation_of
from shieldwall.pki.leaf import LeafRequest
from shieldwall.pki.renewal import RenewalReason, renewal_reason

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from cryptography import x509

    from shieldwall.control.api.training import Training
    from shieldwall.control.plan.names import Names
    from shieldwall.control.plan.orders import Observed
    from shieldwall.control.plan.settings import PlanSettings

SUPEREXEC_KEY: Final = "superexec"


def authority_order(
    training: Training, settings: PlanSettings, names: Names, observed: Observed, now: datetime
) -> AuthorityOrder | None:
    """The issuing CA, if there is none that can sign for this training now: one that ran out heals by itself."""
    usable = _usable_issuer(_federation(training, settings), observed, now)
    return AuthorityOrder(names.authority) if usable is None else None


def certificate_orders(
    training: Training, settings: PlanSettings, names: Names, observed: Observed, now: datetime
) -> tuple[CertificateOrder, ...]:
    """Leaves to issue, after the authority that may have been ordered with them."""
    issuer = _usable_issuer(_federation(training, settings), observed, now)
    orders = []
    for secret, wanted in _leaves(training, settings, names):
        reason = _reason(observed.leaves.get(secret), issuer, wanted, now)
        if reason is not None:
            orders.append(CertificateOrder(secret, wanted.identity, wanted.dns_names, wanted.lifetime, reason.value))
    return tuple(orders)


def _federation(training: Training, settings: PlanSettings) -> Federation:
    return Federation(settings.trust_domain, training.namespace, training.name)


def _usable_issuer(federation: Federation, observed: Observed, now: datetime) -> x509.Certificate | None:
    issuer = observed.issuer
    if issuer is None or now >= issuer.not_valid_after_utc or federation_of(issuer) != federation:
        return None
    return issuer


def _reason(
    leaf: x509.Certificate | None, issuer: x509.Certificate | None, wanted: LeafRequest, now: datetime
) -> RenewalReason | None:
    if issuer is None:
        return RenewalReason.MISSING if leaf is None else RenewalReason.ISSUER_CHANGED
    return renewal_reason(leaf, issuer, wanted, now)


def _leaves(training: Training, settings: PlanSettings, names: Names) -> Iterator[tuple[str, LeafRequest]]:
    """Every leaf that is to exist, the server's first: clients refuse a server without one."""
    federation = _federation(training, settings)
    lifetime = training.spec.identity.lifetime
    dns_names = server_dns_names(training, settings, names)
    yield names.server_tls, LeafRequest(federation.server(), dns_names, lifetime)
    yield names.aggregator_tls, LeafRequest(federation.aggregator(), (), lifetime)
    for client in training.spec.clients:
        yield names.client_tls(client.name), LeafRequest(federation.client(client.name), (), lifetime)


def node_key_orders(training: Training, names: Names, observed: Observed) -> tuple[NodeKeyOrder, ...]:
    """Node keys of clients that have none."""
    return tuple(
        NodeKeyOrder(names.client_node(client.name), client.name)
        for client in training.spec.clients
        if client.name not in observed.node_keys
    )


def shared_secret_orders(names: Names, observed: Observed) -> tuple[SharedSecretOrder, ...]:
    """What the aggregator's SuperExec shows to the SuperLink."""
    missing = names.superexec not in observed.shared_secrets
    return (SharedSecretOrder(names.superexec, SUPEREXEC_KEY),) if missing else ()
