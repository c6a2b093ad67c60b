"""ε counted again from outside: what the ledger's lines must cost by the noise that the spec asks for."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from shieldwall.accounting import Release, epsilon_of
from shieldwall.control.api.calibration import calibrated
from shieldwall.control.api.mechanism import mechanism_of

if TYPE_CHECKING:
    from shieldwall.contract.privacy import PrivacyRecord
    from shieldwall.contract.records import RoundRecord
    from shieldwall.control.api.spec import FederatedTrainingSpec
    from shieldwall.control.steward.sight import StewardSight


class Recount(NamedTuple):
    """Between these lies ε of the client that spent most, if all was released with the spec's noise."""

    least: float
    """Nobody took part in more than lines must share among all clients."""
    most: float
    """Somebody took part in every line."""


@dataclass(frozen=True, slots=True)
class Told:
    """How privacy stands, and the record that says so."""

    record: RoundRecord
    privacy: PrivacyRecord


def privacy_of(sight: StewardSight | None) -> Told | None:
    """The newest record that says how privacy stands, whether it released anything: clients that were asked may answer.

    None where none does, or where it says what is no ε.
    """
    for record in (sight.newest, sight.last_round) if sight is not None else ():
        if record is not None and record.privacy is not None:
            return Told(record, record.privacy) if 0 <= record.privacy.epsilon < math.inf else None
    return None


def recount(spec: FederatedTrainingSpec, record: PrivacyRecord) -> Recount | None:
    """What ``record.releases`` lines cost; None where no noise is added.

    A tenth of a second where records or clients are sampled, once for each number of lines.
    """
    policy, mechanism = calibrated(spec), mechanism_of(spec)
    if policy is None or mechanism is None:
        return None
    release, lines = Release(policy.noise_multiplier, mechanism.sampling), max(record.releases, 0)
    shared = -(-lines * min(spec.min_replies, len(spec.clients)) // len(spec.clients))

    def cost(count: int) -> float:
        return epsilon_of({release: count * mechanism.steps}, policy.delta)

    return Recount(cost(shared), cost(lines))
