"""Mutual TLS, 25 points: what the operator's own connection and the last round showed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from shieldwall.contract.records import Fate
from shieldwall.control.api.status import ConditionStatus
from shieldwall.control.status.certificates import certificates_verdict
from shieldwall.control.status.checks import NO_ROUND, UNSEEN, Claim, failed, observed, unknown
from shieldwall.control.status.leaves import Serving
from shieldwall.control.status.openings import foreign_policies
from shieldwall.control.status.text import some
from shieldwall.control.steward.sight import Probe

if TYPE_CHECKING:
    from shieldwall.control.status.checks import Finding
    from shieldwall.control.status.view import View


def _probed(probe: Probe, *, refused: str, admitted: str, untried: str) -> Finding:
    match probe:
        case Probe.REFUSED:
            return observed(refused)
        case Probe.ADMITTED:
            return failed(admitted)
        case Probe.UNKNOWN:
            return unknown(untried)


def _certificate_required(view: View) -> Finding:
    if view.fresh is None:
        return UNSEEN
    return _probed(
        view.fresh.without_certificate,
        refused="A handshake without a certificate was refused.",
        admitted="A handshake without a certificate went through.",
        untried="No handshake without a certificate was tried yet.",
    )


def _certificates_served(view: View) -> Finding:
    """Holds while a renewed leaf is being taken up; a leaf nobody has shown yet is unknown, not wrong."""
    verdict = certificates_verdict(view)
    if verdict.status is ConditionStatus.TRUE:
        return observed(verdict.message)
    unseen = any(leaf.serving is Serving.UNSEEN for leaf in view.leaves)
    late = any(leaf.serving is Serving.LATE for leaf in view.leaves)
    if verdict.status is ConditionStatus.UNKNOWN or (verdict.reason == "NotServed" and unseen and not late):
        return unknown(verdict.message)
    return failed(verdict.message)


def _network_policy(view: View) -> Finding:
    """One probe shows that policies are enforced; it does not show what those of others allow."""
    foreign = foreign_policies(view.sight)
    if foreign and (view.fresh is None or view.fresh.closed_port is not Probe.ADMITTED):
        return unknown(f"What others allow is added to what the training's own policies do: {some(foreign)}.")
    if view.fresh is None:
        return UNSEEN
    return _probed(
        view.fresh.closed_port,
        refused="A connection that no NetworkPolicy allows did not come about.",
        admitted="A connection that no NetworkPolicy allows came about: the cluster does not enforce them.",
        untried="No forbidden connection was tried yet.",
    )


def _updates_signed(view: View) -> Finding:
    if view.fresh is None:
        return UNSEEN
    last = view.fresh.last_round
    if last is None:
        return NO_ROUND
    admitted = [reply for reply in last.replies if reply.fate is Fate.ADMITTED]
    unsigned = [reply.client for reply in admitted if not reply.serial]
    if unsigned:
        return failed(f"Round {last.round} admitted an update without a signature, from {unsigned[0]}.")
    if not admitted:
        return unknown(f"Round {last.round} names no admitted update.")
    return observed(f"Every update admitted in round {last.round} was signed with its client's certificate.")


CLAIMS: Final = (
    Claim("ClientCertificateRequired", 10, _certificate_required),
    Claim("CertificatesServed", 5, _certificates_served),
    Claim("NetworkPolicyEnforced", 5, _network_policy),
    Claim("UpdatesSigned", 5, _updates_signed),
)
