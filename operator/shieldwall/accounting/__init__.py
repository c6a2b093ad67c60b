"""Differential privacy as arithmetic: what a release costs, how much noise a target needs, which pairs are sound."""

from shieldwall.accounting.accountant import (
    EpsilonUnknownError,
    epsilon_of,
    noise_multiplier_for,
    releases_within,
    rounded_up,
)
from shieldwall.accounting.adaptive import CountTooLoudError, update_noise
from shieldwall.accounting.events import FixedSize, Poisson, Release
from shieldwall.accounting.sensitivity import UnsoundPairError, sensitivity_of, true_epsilon

__all__ = [
    "CountTooLoudError",
    "EpsilonUnknownError",
    "FixedSize",
    "Poisson",
    "Release",
    "UnsoundPairError",
    "epsilon_of",
    "noise_multiplier_for",
    "releases_within",
    "rounded_up",
    "sensitivity_of",
    "true_epsilon",
    "update_noise",
]
