"""Orders of keys and certificates: what is missing, and what is to be renewed and why."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Final

from shieldwall.contract.identity import Federation
from shieldwall.control.api.requests import AGGREGATOR, SERVER, client_subject, unanswered
from shieldwall.control.plan.names import Names
from shieldwall.control.plan.orders import AuthorityOrder, CertificateOrder, NodeKeyOrder, SharedSecretOrder
from shieldwall.control.plan.services import server_dns_names
from shieldwall.pki.authority import federation_of
from shieldwall.pki.leaf import LeafRequest
from shieldwall.pki.renewal import RenewalReason, crl_renewal_time, next_renewal, renewal_reason
from shieldwall.pki.validity import made_at

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from cryptography import x509

    from shieldwall.control.api.training import Training
    from shieldwall.control.plan.orders import Observed
    from shieldwall.control.plan.settings import PlanSettings

SUPEREXEC_KEY: Final = "superexec"
REQUEST_INTERVAL: Final = timedelta(seconds=10)
"""Between two answers to requests for the same leaf: whoever may write annotations cannot have keys made all day."""
_WHOLE: Final = timedelta(seconds=1)
"""A certificate's times are whole seconds."""


def authority_order(
    training: Training, settings: PlanSettings, names: Names, observed: Observed, now: datetime
) -> AuthorityOrder | None:
    """The issuing CA, if there is none that can sign for this training now: one that ran out heals by itself."""
    usable = usable_issuer(_federation(training, settings), observed.issuer, now)
    return AuthorityOrder(names.authority) if usable is None else None


def certificate_orders(
    training: Training, settings: PlanSettings, names: Names, observed: Observed, now: datetime
) -> tuple[CertificateOrder, ...]:
    """Leaves to issue, after the authority that may have been ordered with them."""
    issuer = usable_issuer(_federation(training, settings), observed.issuer, now)
    subjects = subjects_of(training, names)
    orders = []
    for secret, wanted in _leaves(training, settings, names):
        request = wanted_request(training, subjects[secret])
        reason = _reason(observed.leaves.get(secret), issuer, wanted, now)
        if reason is None and unanswered(request, observed.renewals.get(secret, "")):
            reason = RenewalReason.REQUESTED if _answered_from(observed, secret, now) is None else None
        if reason is not None:
            order = CertificateOrder(secret, wanted.identity, wanted.dns_names, wanted.lifetime, reason.value, request)
            orders.append(order)
    return tuple(orders)


def _answered_from(observed: Observed, secret: str, now: datetime) -> datetime | None:
    """When the next request for a leaf that is there is answered; None for at once.

    The first request is, whenever the leaf was made, and so is one after a clock was turned back.
    """
    leaf = observed.leaves.get(secret)
    if leaf is None or not observed.renewals.get(secret):
        return None
    free = made_at(leaf) + REQUEST_INTERVAL + _WHOLE
    return free if made_at(leaf) <= now < free else None


def wanted_request(training: Training, subject: str) -> str:
    """What a leaf's Secret is stamped with once it answers the requests made for it; empty when there are none."""
    return training.requests.wanted(subject)


def subjects_of(training: Training, names: Names) -> dict[str, str]:
    """By Secret: ``server``, ``aggregator`` or ``client.<name>``, as requests and metrics name leaves."""
    clients = {names.client_tls(client.name): client_subject(client.name) for client in training.spec.clients}
    return {names.server_tls: SERVER, names.aggregator_tls: AGGREGATOR} | clients


def subject_of(names: Names, secret: str) -> str | None:
    """The same for one Secret, by its name alone; None when it is no leaf's."""
    prefix = names.client_tls("")
    if secret.startswith(prefix):
        return client_subject(secret.removeprefix(prefix))
    return {names.server_tls: SERVER, names.aggregator_tls: AGGREGATOR}.get(secret)


def entries_of(training: Training, names: Names) -> dict[str, frozenset[str]]:
    """Every Secret that a training may own, and the names of its entries."""
    leaf, node = frozenset({"tls.crt", "tls.key", "ca.crt"}), frozenset({"node.key", "node.pub"})
    entries = dict.fromkeys((names.authority, names.server_tls, names.aggregator_tls), leaf)
    entries[names.superexec] = frozenset({SUPEREXEC_KEY})
    for client in training.spec.clients:
        entries |= {names.client_tls(client.name): leaf, names.client_node(client.name): node}
    return entries


def next_deadline(training: Training, settings: PlanSettings, observed: Observed, now: datetime) -> datetime | None:
    """When something will be due though nothing happens: a leaf, an answer, the revocation list, or a CA's end.

    Later than ``now``; None while there is no usable CA.
    """
    issuer = usable_issuer(_federation(training, settings), observed.issuer, now)
    if issuer is None:
        return None
    names = Names(training.name)
    known = (observed.leaves.get(secret) for secret, _ in _leaves(training, settings, names))
    due = [next_renewal(leaf, issuer) for leaf in known if leaf is not None]
    due += [
        _answered_from(observed, secret, now)
        for secret, subject in subjects_of(training, names).items()
        if unanswered(wanted_request(training, subject), observed.renewals.get(secret, ""))
    ]
    if observed.trust is not None:
        due.append(crl_renewal_time(observed.trust.crl, issuer))
    return min(each for each in [*due, issuer.not_valid_after_utc] if each is not None and each > now)


def _federation(training: Training, settings: PlanSettings) -> Federation:
    return Federation(settings.trust_domain, training.namespace, training.name)


def usable_issuer(federation: Federation, issuer: x509.Certificate | None, now: datetime) -> x509.Certificate | None:
    """``issuer`` if it can sign for ``federation`` now, else None."""
    if issuer is None or federation_of(issuer) != federation:
        return None
    return issuer if issuer.not_valid_before_utc <= now < issuer.not_valid_after_utc else None


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
