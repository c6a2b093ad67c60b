"""Releases that cost privacy, as data."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Poisson:
    """Each record takes part on its own with probability ``rate`` (a batch of DP-SGD)."""

    rate: float

    def __post_init__(self) -> None:
        """Raise ValueError outside (0, 1]."""
        if not 0 < self.rate <= 1:
            raise ValueError(f"a rate of sampling lies in (0, 1]; this is {self.rate}")


@dataclass(frozen=True, slots=True)
class FixedSize:
    """``sample`` of ``population`` are drawn without replacement, and nobody learns which (clients of a round)."""

    population: int
    sample: int

    def __post_init__(self) -> None:
        """Raise ValueError unless 0 < sample ≤ population."""
        if not 0 < self.sample <= self.population:
            raise ValueError(f"a sample of {self.sample} cannot be drawn from {self.population}")


@dataclass(frozen=True, slots=True)
class Release:
    """Gaussian noise on a sum or an average, once.

    Attributes:
        noise_multiplier: z = σ/Δ, the noise's standard deviation over the L2 sensitivity when one unit (a record or a
            client) is replaced by another.
        sampling: how units were drawn for it; None when all took part, or when who did is no secret.
    """

    noise_multiplier: float
    sampling: Poisson | FixedSize | None = None

    def __post_init__(self) -> None:
        """Raise ValueError for noise that is none."""
        if not (math.isfinite(self.noise_multiplier) and self.noise_multiplier > 0):
            raise ValueError(f"a noise multiplier is a positive number; this is {self.noise_multiplier}")
