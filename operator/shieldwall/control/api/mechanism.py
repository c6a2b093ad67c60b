"""How often a training releases something, and with which noise: what the accountant is asked about."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from shieldwall.accounting import FixedSize, Poisson, Release, epsilon_of, noise_multiplier_for, releases_within
from shieldwall.control.api.privacy import PrivacyMode

if TYPE_CHECKING:
    from shieldwall.control.api.spec import FederatedTrainingSpec

_LOOSE: Final = 10
_SPARE: Final = 10
"""Local modes spend when clients are asked: of so many rounds one more may be repeated."""


@dataclass(frozen=True, slots=True)
class Mechanism:
    """What is known of a mode's releases without its noise."""

    delta: float
    rounds: int
    spare: bool
    """Whether an attempt that releases nothing spends too, so that some more are provided for."""
    steps: int
    """Releases of one attempt."""
    sampling: Poisson | FixedSize | None
    units: int = 1
    """How many there are of what is hidden, clients or records, as far as that is known: of records the fewest."""

    @property
    def loose_delta(self) -> float:
        """A tenth of one in so many, which gives one away entirely: δ should be below."""
        return 1 / (_LOOSE * self.units)

    @property
    def attempts(self) -> int:
        """Rounds, and those that are provided for."""
        return self.rounds + (math.ceil(self.rounds / _SPARE) if self.spare else 0)

    @property
    def releases(self) -> int:
        """All of them."""
        return self.attempts * self.steps

    def epsilon(self, noise: float) -> float:
        """What all releases cost with ``noise``."""
        return epsilon_of({Release(noise, self.sampling): self.releases}, self.delta)

    def noise(self, epsilon: float) -> float:
        """The least with which they cost at most ``epsilon``; raises ValueError where none of use does."""
        return noise_multiplier_for(epsilon, self.delta, self.releases, self.sampling)

    def rounds_within(self, epsilon: float, noise: float) -> int:
        """The most rounds, with what is provided for, that cost at most ``epsilon``."""
        attempts = releases_within(epsilon, self.delta, noise, self.sampling) // self.steps
        return attempts * _SPARE // (_SPARE + 1) if self.spare else attempts


def mechanism_of(spec: FederatedTrainingSpec) -> Mechanism | None:
    """None where no noise is added, or where what is needed is not said."""
    privacy, count, clients = spec.privacy, spec.rounds.count, len(spec.clients)
    if privacy is None or privacy.delta is None:
        return None
    match spec.privacy_mode:
        case PrivacyMode.NONE:
            return None
        case PrivacyMode.CLIENT_LEVEL_CENTRAL:
            return Mechanism(privacy.delta, count, spare=False, steps=1, sampling=_drawn(spec), units=clients)
        case PrivacyMode.CLIENT_LEVEL_LOCAL:
            return Mechanism(privacy.delta, count, spare=True, steps=1, sampling=None, units=clients)
        case PrivacyMode.RECORD_LEVEL:
            if privacy.records is None or privacy.batch_size is None or privacy.steps is None:
                return None
            batches = Poisson(min(privacy.batch_size / privacy.records, 1.0))
            records = clients * privacy.records
            return Mechanism(privacy.delta, count, spare=True, steps=privacy.steps, sampling=batches, units=records)


def population_of(spec: FederatedTrainingSpec) -> int | None:
    """From how many clients those of a round are drawn in secret; None where that counts for nothing."""
    amplified = spec.privacy is not None and spec.privacy.amplification
    central = spec.privacy_mode is PrivacyMode.CLIENT_LEVEL_CENTRAL
    population = len(spec.clients)
    return population if amplified and central and spec.asked < population else None


def _drawn(spec: FederatedTrainingSpec) -> FixedSize | None:
    population = population_of(spec)
    return FixedSize(population, spec.asked) if population is not None else None
