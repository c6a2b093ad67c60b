"""The condition Certificates: whether every leaf is there, valid and in use."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from shieldwall.control.api.status import ConditionStatus
from shieldwall.control.status.leaves import Serving
from shieldwall.control.status.text import count, some

if TYPE_CHECKING:
    from shieldwall.control.status.leaves import Leaf
    from shieldwall.control.status.view import View


_IGNORED: Final = "Annotations renew.shieldwall.dev that are not understood, to be corrected or removed"
_EXPIRED: Final = "The operator renews them as soon as it can: see Reconciling for what stands in its way."
_LATE: Final = "Delete these pods to have them started anew."
_UNSEEN: Final = "If that lasts, look at the events and logs of these pods."


@dataclass(frozen=True, slots=True)
class Verdict:
    """A condition before it has times."""

    status: ConditionStatus
    reason: str
    message: str


def certificates_verdict(view: View) -> Verdict:
    """True only if each leaf was seen in use, or the one before it was while there is time to take up the new one."""
    total = count(len(view.leaves), "leaf/leaves")
    verdict = _issued(view, total) or _in_use(view, total)
    ignored = view.sight.training.requests.ignored
    if not ignored:
        return verdict
    return replace(verdict, message=f"{verdict.message} {_IGNORED}: {some(ignored)}.")


def _issued(view: View, total: str) -> Verdict | None:
    missing = [leaf for leaf in view.leaves if leaf.certificate is None]
    if missing:
        return _no("Issuing", f"Of {total}, not issued yet: {_subjects(missing)}.")
    if expired := [leaf for leaf in view.leaves if leaf.expired(view.sight.now)]:
        return _no("Expired", f"Of {total}, expired: {_subjects(expired)}. {_EXPIRED}")
    return None


def _in_use(view: View, total: str) -> Verdict:
    if view.fresh is None:
        return _unseen(view, total)
    if late := _of(view, Serving.LATE):
        return _no("NotServed", f"Of {total}, renewed and not taken up by: {_subjects(late)}. {_LATE}")
    if unseen := _of(view, Serving.UNSEEN):
        return _no("NotServed", f"Of {total}, not seen in use yet: {_subjects(unseen)}. {_UNSEEN}")
    if before := _of(view, Serving.BEFORE):
        return Verdict(ConditionStatus.TRUE, "Renewing", f"Of {total}, renewed a moment ago: {_subjects(before)}.")
    return Verdict(ConditionStatus.TRUE, "AllServed", f"{total} issued and seen in use.")


def _unseen(view: View, total: str) -> Verdict:
    if view.suspended:
        message = f"{total} issued and renewed; no pod runs to use them while spec.suspend is true."
        return Verdict(ConditionStatus.UNKNOWN, "Suspended", message)
    message = f"{total} issued; which are in use is known once the steward answers: see Ready."
    return Verdict(ConditionStatus.UNKNOWN, "NotObserved", message)


def _no(reason: str, message: str) -> Verdict:
    return Verdict(ConditionStatus.FALSE, reason, message)


def _of(view: View, serving: Serving) -> list[Leaf]:
    return [leaf for leaf in view.leaves if leaf.serving is serving]


def _subjects(leaves: list[Leaf]) -> str:
    return some([leaf.subject for leaf in leaves])
