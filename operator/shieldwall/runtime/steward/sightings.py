"""What the gate has seen: each client's last certificate, and how often whom was refused why.

Bounded: only clients of the policy are named, everyone else is ``unknown``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from shieldwall.contract.records import Denial
from shieldwall.runtime.steward.gate import Allow, Decision, Deny, Reason

if TYPE_CHECKING:
    from shieldwall.runtime.steward.certificates import CertificateFacts

UNKNOWN: Final = "unknown"


@dataclass(frozen=True, slots=True)
class Sighting:
    """A client's last request that passed."""

    certificate: CertificateFacts
    when: float
    """Unix seconds."""
    passed: int
    """How many requests passed since the steward started."""


class Sightings:
    """Kept in memory only: the counters begin anew with the process, as Prometheus expects."""

    def __init__(self) -> None:
        self._clients: dict[str, Sighting] = {}
        self._denials: dict[tuple[str, Reason], Denial] = {}
        self.leaf_failures: dict[str, int] = {}
        """By client's SPIFFE id: how often its signer says that it found an unusable leaf."""
        self.aggregator: CertificateFacts | None = None
        """What the aggregator last showed."""

    def saw(self, decision: Decision, now: float) -> None:
        """Count one decision of the gate."""
        if isinstance(decision, Allow):
            self._saw_client(decision, now)
        else:
            self._saw_denial(decision, now)

    def of(self, identity: str) -> Sighting | None:
        """The last request of a client that passed."""
        return self._clients.get(identity)

    @property
    def denials(self) -> tuple[Denial, ...]:
        """One entry for each client and reason."""
        return tuple(self._denials[key] for key in sorted(self._denials))

    def _saw_client(self, allowed: Allow, now: float) -> None:
        before = self._clients.get(allowed.member.identity)
        passed = before.passed + 1 if before else 1
        self._clients[allowed.member.identity] = Sighting(allowed.certificate, now, passed)

    def _saw_denial(self, denied: Deny, now: float) -> None:
        key = (denied.identity or UNKNOWN, denied.reason)
        before = self._denials.get(key)
        count = before.count + 1 if before else 1
        self._denials[key] = Denial(client=key[0], reason=key[1], count=count, last=now)
