"""Which events a pass is worth: certificates issued, conditions that have changed, clients kept out. Pure."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING, Final

from shieldwall.control.api.status import WORST_CLIENTS
from shieldwall.control.cluster.events import Occurrence
from shieldwall.control.issuing.facts import published_ca
from shieldwall.control.plan.names import Names
from shieldwall.control.status.clients import BANNED, LAST_ROUND, REFUSED
from shieldwall.control.status.text import some
from shieldwall.control.status.view import OUT_OF_REACH
from shieldwall.pki.renewal import RenewalReason
from shieldwall.pki.serials import serial_text, short_serial

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from cryptography import x509

    from shieldwall.control.api.status import ClientReport, Condition, FederatedTrainingStatus
    from shieldwall.control.cluster.apply import Repair
    from shieldwall.control.plan.orders import CertificateOrder, Observed

_SILENT: Final = frozenset({"Reconciling"})
"""Changes with every step of a roll-out."""
_ABNORMAL: Final = frozenset({"Stalled", "Suspended"})
"""False is how things should be: told only after it was otherwise."""
_HELD_UP: Final = frozenset({"ObjectRefused", "ApiError"})
"""Reasons of Reconciling for which something is not made or mended, and tried again."""
_PRIVACY_ENDS: Final = frozenset({"Exceeded", "BudgetSpent"})
"""Reasons of Privacy for which somebody has to decide."""
_NAMED: Final = 3
_FROZEN: Final = (
    "A node never looks again at what it saw immutable while a pod there mounts it: set spec.suspend to true, wait"
    " until the pods have gone, and set it back."
)
_WHY: Final[dict[str, str]] = {
    RenewalReason.MISSING: "there was none",
    RenewalReason.ISSUER_CHANGED: "what was there is of another CA",
    RenewalReason.IDENTITY_CHANGED: "what was there names another holder",
    RenewalReason.NAMES_CHANGED: "other DNS names are wanted now",
    RenewalReason.PROFILE_CHANGED: "what was there has not the form of today",
    RenewalReason.LIFETIME_CHANGED: "certificateTTL is shorter now",
    RenewalReason.NOT_YET_VALID: "what was there is not valid yet",
    RenewalReason.EXPIRED: "what was there had expired",
    RenewalReason.RENEWAL_DUE: "renewal was due",
    RenewalReason.REQUESTED: "somebody asked for it",
}
"""Reasons of certificates, as people say them."""


def transitions(before: FederatedTrainingStatus | None, after: FederatedTrainingStatus) -> list[Occurrence]:
    """An event for each condition that says something else than before; what is unknown is no news.

    Of a stall Stalled alone tells, not Ready too; and of what the API server refuses Reconciling alone, as a training
    that was ready before stays so.
    """
    known = {each.type: each for each in before.conditions} if before is not None else {}
    stalls = {each.reason for each in after.conditions if each.type == "Stalled" and each.status == "True"} | _HELD_UP
    return [
        Occurrence(
            condition.reason,
            condition.type,
            condition.message,
            "Warning" if _is_warning(condition) else "Normal",
        )
        for condition in after.conditions
        if (condition.type not in _SILENT or condition.reason in _HELD_UP)
        and not (condition.type == "Ready" and condition.reason in stalls)
        and _is_news(known.get(condition.type), condition)
    ]


def _is_warning(condition: Condition) -> bool:
    if condition.type == "Stalled":
        return condition.status == "True"
    if condition.type == "PrivacySignal":
        return condition.status == "False"
    if condition.type == "Privacy":
        return condition.reason in _PRIVACY_ENDS
    if condition.type == "Reconciling":
        return condition.reason in _HELD_UP
    return condition.type == "Ready" and condition.status == "False" and condition.reason in OUT_OF_REACH


def _is_news(before: Condition | None, after: Condition) -> bool:
    if before is not None and (before.status, before.reason) == (after.status, after.reason):
        return False
    if after.type in _ABNORMAL and after.status == "False":
        return before is not None and before.status == "True"
    return after.status != "Unknown"


def kept_out(before: FederatedTrainingStatus | None, after: FederatedTrainingStatus) -> list[Occurrence]:
    """A warning about clients whose updates began to be rejected, and one about those that were banned."""
    told = []
    if rejected := _newly(REFUSED, (REFUSED, BANNED), before, after):
        reasons = [_reason(report) for report in rejected[:_NAMED]]
        if (more := len(rejected) - _NAMED) > 0:
            reasons.append(f"and {more} more")
        told.append(Occurrence("UpdateRejected", "Reject", f"Round {after.round}, {'; '.join(reasons)}.", "Warning"))
    if banned := [report.name for report in _newly(BANNED, (BANNED,), before, after)]:
        whose = f"Client {banned[0]} is" if len(banned) == 1 else f"Clients {some(banned)} are"
        told.append(
            Occurrence("ClientBanned", "Ban", f"{whose} on the deny list: shut out of the training.", "Warning")
        )
    return told


def _newly(
    state: str, known: tuple[str, ...], before: FederatedTrainingStatus | None, after: FederatedTrainingStatus
) -> list[ClientReport]:
    """Clients in ``state`` that were in none of the ``known`` states before.

    Nobody where status had no room for all of these: then there is no telling who was among them.
    """
    earlier, now = _worst(before), _worst(after)
    if len(earlier) == WORST_CLIENTS and earlier[-1].state in known:
        return []
    already = {report.name for report in earlier if report.state in known}
    return [report for report in now if report.state == state and report.name not in already]


def _worst(status: FederatedTrainingStatus | None) -> tuple[ClientReport, ...]:
    return status.clients.worst if status is not None and status.clients is not None else ()


def _reason(report: ClientReport) -> str:
    return f"client {report.name}: {(report.message or '').removeprefix(LAST_ROUND).rstrip('.')}"


def repaired(repair: Repair) -> Occurrence:
    """A warning that an object of a training was not as the operator had left it."""
    note = f"{repair.kind} {repair.name} {repair.what}, and was set right."
    if repair.frozen:
        note += f" {_FROZEN}"
    return Occurrence("DriftRepaired", "Repair", note, "Warning")


def authority_replaced(
    training: str, status: FederatedTrainingStatus | None, before: Observed, new: x509.Certificate | None
) -> Occurrence | None:
    """A warning that a training's issuing CA was made anew; None for its first.

    The one before is what was published last: what stands in its Secret may be somebody else's. Where that is lost, it
    is what status says; and where there are leaves, there was one.
    """
    published = published_ca(before.trust.ca) if before.trust is not None else None
    old = serial_text(published.serial_number) if published is not None else None
    if old is None and status is not None and status.pki is not None:
        old = status.pki.issuer
    if old is None and not before.leaves:
        return None
    made = serial_text(new.serial_number) if new is not None else "unknown"
    why = "was lost or spoilt" if before.issuer is None else "can sign for this training no more"
    note = (
        f"The issuing CA in Secret {Names(training).authority}, serial {old or 'unknown'}, {why} and was replaced by a"
        f" new one, serial {made}. Every certificate is issued anew."
    )
    return Occurrence("AuthorityReplaced", "ReplaceAuthority", note, "Warning")


def issued(orders: Iterable[CertificateOrder], leaves: Mapping[str, x509.Certificate]) -> list[Occurrence]:
    """One event for each reason: ``Issued 12 certificates for server, aggregator and 10 clients, valid for 24 h``.

    ``leaves``, by Secret, are those that were issued: by their serial numbers a later event is another.
    """
    by_reason = groupby(sorted(orders, key=lambda order: order.reason), key=lambda order: order.reason)
    told = []
    for reason, group in by_reason:
        ordered = sorted(group, key=lambda each: each.identity.uri)
        serials = [
            serial_text(leaves[order.secret].serial_number) if order.secret in leaves else "" for order in ordered
        ]
        told.append(
            Occurrence("CertificateIssued", reason, _sentence(reason, ordered, serials), facts=" ".join(serials))
        )
    return told


def _sentence(reason: str, orders: list[CertificateOrder], serials: list[str]) -> str:
    clients = [order.identity.client for order in orders if order.identity.client is not None]
    others = [order.identity.role.value for order in orders if order.identity.client is None]
    named = [f"client {name}" for name in clients] if len(clients) <= _NAMED else [f"{len(clients)} clients"]
    whose = [*others, *named]
    text = whose[0] if len(whose) == 1 else f"{', '.join(whose[:-1])} and {whose[-1]}"
    hours = min(order.lifetime for order in orders).total_seconds() / 3600
    noun = "a certificate" if len(orders) == 1 else f"{len(orders)} certificates"
    serial = f", serial {short_serial(serials[0])}" if len(orders) == 1 and serials[0] else ""
    return f"Issued {noun} for {text}{serial}, valid for {hours:g} h ({_WHY.get(reason, reason)})."
