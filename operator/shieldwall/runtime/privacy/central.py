"""Noise on a round's aggregate, and the clip that it is calibrated for. Pure but for the generator's draws."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from shieldwall.accounting import sensitivity_of, update_noise
from shieldwall.runtime.privacy.mechanism import add_noise

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np

    from shieldwall.contract.policy import AggregationPolicy
    from shieldwall.contract.privacy import PrivacyPolicy, Spend
    from shieldwall.runtime.model import Vector


@dataclass(frozen=True, slots=True)
class Noised:
    """The noise in a release."""

    clip: float
    """C, or C_t where it adapts."""
    sensitivity: float | None
    """Δ, in units of the model; None where clients added the noise."""
    deviation: float
    """σ of the noise, in units of the model."""
    within: float | None
    """b̄, where the clip adapts."""


@dataclass(frozen=True, slots=True)
class CentralNoise:
    """The mechanism of one round of ClientLevelCentral."""

    policy: PrivacyPolicy
    clip: float
    """In force in this round: what clips is what the noise is calibrated for."""
    generator: np.random.Generator

    def clipping(self, policy: AggregationPolicy) -> AggregationPolicy:
        """The rule's policy with this round's clip."""
        return policy.model_copy(update={"max_norm": self.clip})

    def seed(self) -> int:
        """What draws the buckets: of nobody's data."""
        return int(self.generator.integers(2**63))

    def noise(self, delta: Vector, norms: Sequence[float], policy: AggregationPolicy) -> Noised:
        """Add the noise to ``delta``, (d,), in place: the rule's aggregate of n updates with these norms, (n,).

        Raises UnsoundPairError for a rule of unknown sensitivity.
        """
        adaptive, multiplier, within = self.policy.adaptive, self.policy.noise_multiplier, None
        if adaptive is not None:
            multiplier = update_noise(multiplier, adaptive.count_noise)
            within = self._within(norms, adaptive.count_noise)
        sensitivity = sensitivity_of(policy, len(norms), self.clip)
        add_noise(delta, multiplier * sensitivity, self.generator)
        return Noised(self.clip, sensitivity, multiplier * sensitivity, within)

    def _within(self, norms: Sequence[float], count_noise: float) -> float:
        """The noisy share of norms within the clip, held within what a share can be."""
        count = sum(norm <= self.clip for norm in norms) + count_noise * float(self.generator.standard_normal())
        return min(1.0, max(0.0, count / len(norms)))


def clip_in_force(policy: PrivacyPolicy, spends: Sequence[Spend]) -> float:
    """The clip of the round to come: the policy's, or what the last release and its count made of it.

    C ← C·exp(−η(b̄ − γ)). Source: Andrew et al. 2019 (arXiv:1905.03871), section 2.
    """
    if policy.adaptive is None:
        return policy.clip
    last = next((spend for spend in reversed(spends) if spend.within is not None), None)
    if last is None or last.within is None:
        return policy.clip
    return last.clip * math.exp(-policy.adaptive.rate * (last.within - policy.adaptive.quantile))


def signal_to_noise(clip: float, deviation: float, size: int) -> float:
    """C/(σ√d) of a release with noise of this ``deviation`` on each of ``size`` coordinates."""
    return clip / (deviation * math.sqrt(size))
