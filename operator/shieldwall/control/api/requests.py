"""What people ask of a training by annotations: certificates renewed now, and nothing written for a while.

An annotation never makes a training invalid: what cannot be understood is left out and told.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from shieldwall.control.api.plain import show

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from shieldwall.control.api.plain import Json

RENEW_PREFIX: Final = "renew.shieldwall.dev/"
"""``renew.shieldwall.dev/<subject>: <nonce>``; another nonce is another request."""
REINSTATE_PREFIX: Final = "reinstate.shieldwall.dev/"
"""``reinstate.shieldwall.dev/<client>: <nonce>``: ends a ban for want of contribution; another nonce, another time."""
PAUSED: Final = "shieldwall.dev/paused"
"""``"true"``, in any case: the operator writes nothing but the status. ``"false"`` and nothing are no pause."""

ALL: Final = "all"
SERVER: Final = "server"
AGGREGATOR: Final = "aggregator"
_CLIENT: Final = "client."

_NONCE: Final = re.compile(r"[A-Za-z0-9._-]{1,64}")
_MOST_IGNORED: Final = 20
_LONGEST_PAUSE: Final = 40
_LONGEST_SUBJECT: Final = 63


def client_subject(client: str) -> str:
    """The subject by which a client's certificate is asked for."""
    return _CLIENT + client


@dataclass(frozen=True, slots=True)
class RenewalRequests:
    """Which certificates people want renewed."""

    nonces: Mapping[str, str] = field(default_factory=dict)
    """By subject: ``all``, ``server``, ``aggregator`` or ``client.<name>``."""
    ignored: tuple[str, ...] = ()
    """Subjects that do not exist or whose nonce is none; sorted, at most 20, each cut to 63 characters."""

    def wanted(self, subject: str) -> str:
        """What is asked for of ``subject``'s certificate, as it is stamped on what answers it; "" for nothing."""
        everybody, own = self.nonces.get(ALL, ""), self.nonces.get(subject, "")
        return f"{everybody}|{own}" if everybody or own else ""


@dataclass(frozen=True, slots=True)
class ReinstatementRequests:
    """Which clients people want back."""

    nonces: Mapping[str, str] = field(default_factory=dict)
    """By client's name."""
    ignored: tuple[str, ...] = ()
    """Names that are no client's or whose nonce is none; sorted, at most 20, each cut to 63 characters."""


def unanswered(wanted: str, stamped: str) -> bool:
    """Whether ``wanted`` asks for something that a certificate stamped with ``stamped`` was not issued for.

    A request that was taken back asks for nothing.
    """
    pairs = zip(_parts(wanted), _parts(stamped), strict=True)
    return any(nonce and nonce != answered for nonce, answered in pairs)


def _parts(text: str) -> tuple[str, str]:
    everybody, _, own = text.partition("|")
    return everybody, own


def renewal_requests(annotations: Mapping[str, Json], clients: Iterable[str]) -> RenewalRequests:
    """Read the requests among a training's annotations; ``clients`` are the names of its clients."""
    return RenewalRequests(*_read(annotations, RENEW_PREFIX, {ALL, SERVER, AGGREGATOR, *map(client_subject, clients)}))


def reinstatement_requests(annotations: Mapping[str, Json], clients: Iterable[str]) -> ReinstatementRequests:
    """Read the requests to reinstate clients; ``clients`` are the names of the training's."""
    return ReinstatementRequests(*_read(annotations, REINSTATE_PREFIX, set(clients)))


def _read(annotations: Mapping[str, Json], prefix: str, subjects: set[str]) -> tuple[dict[str, str], tuple[str, ...]]:
    """Nonces by subject, and what is not understood."""
    nonces: dict[str, str] = {}
    ignored = []
    for name, value in sorted(annotations.items()):
        if not name.startswith(prefix):
            continue
        subject = name.removeprefix(prefix)
        if subject in subjects and isinstance(value, str) and _NONCE.fullmatch(value):
            nonces[subject] = value
        else:
            ignored.append(subject[:_LONGEST_SUBJECT])
    return nonces, tuple(ignored[:_MOST_IGNORED])


def is_paused(annotations: Mapping[str, Json]) -> bool:
    """Whether the operator is to write nothing but the status."""
    return _pause(annotations) == "true"


def unclear_pause(annotations: Mapping[str, Json]) -> str:
    """What stands in the annotation, quoted and at most 40 characters of it, if it is neither yes nor no; else ""."""
    value = annotations.get(PAUSED)
    if value is None or _pause(annotations) in {"true", "false", ""}:
        return ""
    return json.dumps(value[:_LONGEST_PAUSE]) if isinstance(value, str) else show(value)


def _pause(annotations: Mapping[str, Json]) -> str | None:
    value = annotations.get(PAUSED)
    return value.strip().lower() if isinstance(value, str) else None
