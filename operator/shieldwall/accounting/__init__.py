"""Differential privacy as arithmetic: what a release costs, how much noise a target needs, which pairs are sound."""

from shieldwall.accounting.accountant import EpsilonUnknownError, epsilon_of, noise_multiplier_for
from shieldwall.accounting.adaptive import aggregate_multiplier, next_clip
from shieldwall.accounting.events import FixedSize, Poisson, Release
from shieldwall.accounting.sensitivity import UnsoundPairError, sensitivity_of, true_epsilon

__all__ = [
    "EpsilonUnknownError",
    "FixedSize",
    "Poisson",
    "Release",
    "UnsoundPairError",
    "aggregate_multiplier",
    "epsilon_of",
    "next_clip",
    "noise_multiplier_for",
    "sensitivity_of",
    "true_epsilon",
]
