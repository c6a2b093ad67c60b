"""The requests for renewal: which were carried out, and which are still to be."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from shieldwall.control.api.requests import ALL, unanswered
from shieldwall.control.api.status import WORST_CERTIFICATES, RenewalRequest

if TYPE_CHECKING:
    from shieldwall.control.status.leaves import Leaf
    from shieldwall.control.status.view import View


@dataclass(frozen=True, slots=True)
class Asked:
    """A request and how far it is."""

    subject: str
    nonce: str
    answered: bool
    """Whether each leaf that it is about was issued for it."""
    issued: float
    """When the last of these leaves was; Unix seconds."""


def requests_of(view: View) -> tuple[Asked, ...]:
    """All of them, by subject. They do not wait for one another."""
    return tuple(_asked(view, *each) for each in sorted(view.sight.training.requests.nonces.items()))


def handled(requests: tuple[Asked, ...]) -> tuple[RenewalRequest, ...]:
    """Those carried out. The latest stay, as somebody may be waiting for them.

    An annotation stays until it is taken away: in time there may be one for every client.
    """
    answered = [each for each in requests if each.answered]
    latest = sorted(answered, key=lambda each: (-each.issued, each.subject))
    kept = sorted(latest[:WORST_CERTIFICATES], key=lambda each: each.subject)
    return tuple(RenewalRequest(subject=each.subject, nonce=each.nonce) for each in kept)


def pending(requests: tuple[Asked, ...]) -> tuple[str, ...]:
    """Subjects of the first of those that are not."""
    return tuple(each.subject for each in requests if not each.answered)[:WORST_CERTIFICATES]


def _asked(view: View, subject: str, nonce: str) -> Asked:
    everybody = subject == ALL
    concerned = [leaf for leaf in view.leaves if everybody or subject == _requested_as(leaf)]
    wanted = f"{nonce}|" if everybody else f"|{nonce}"
    dates = [leaf.certificate.not_valid_before_utc for leaf in concerned if leaf.certificate is not None]
    return Asked(
        subject,
        nonce,
        answered=all(_answers(view, leaf, wanted) for leaf in concerned),
        issued=max((date.timestamp() for date in dates), default=0.0),
    )


def _requested_as(leaf: Leaf) -> str:
    """A slash cannot stand in the name of an annotation."""
    return leaf.subject.replace("/", ".")


def _answers(view: View, leaf: Leaf, wanted: str) -> bool:
    stamp = view.sight.observed.renewals.get(leaf.secret, "")
    return leaf.certificate is not None and not unanswered(wanted, stamp)
