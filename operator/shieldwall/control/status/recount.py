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
    """How privacy stands, and as of which round."""

    round: int
    privacy: PrivacyRecord


def privacy_of(sight: StewardSight | None) -> Told | None:
    """The newest word on how privacy stands: of a round that is open, or was when its aggregator died, else a record's.

    Whether that released anything is all one: clients that were asked may answer. None where there is no such word, or
    where it says what is no ε.
    """
    if sight is None:
        return None
    opened = [] if sight.status.privacy is None else [Told(sight.status.round, sight.status.privacy)]
    records = [record for record in (sight.newest, sight.last_round) if record is not None]
    closed = [Told(record.round, record.privacy) for record in records if record.privacy is not None]
    newest = next(iter([*opened, *closed]), None)
    return newest if newest is not None and 0 <= newest.privacy.epsilon < math.inf else None


def recount(spec: FederatedTrainingSpec, record: PrivacyRecord) -> Recount | None:
    """What ``record.releases`` lines cost by its own δ; None where no noise is added.

    A tenth of a second where records or clients are sampled, once for each number of lines.
    """
    policy, mechanism = calibrated(spec), mechanism_of(spec)
    if policy is None or mechanism is None:
        return None
    release, lines = Release(policy.noise_multiplier, mechanism.sampling), max(record.releases, 0)
    shared = -(-lines * min(spec.min_replies, len(spec.clients)) // len(spec.clients))

    def cost(count: int) -> float:
        return epsilon_of({release: count * mechanism.steps}, record.delta)

    return Recount(cost(shared), cost(lines))
