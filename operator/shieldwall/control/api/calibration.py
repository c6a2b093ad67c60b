"""From spec.privacy to the noise that keeps it, and what is wrong with it that only arithmetic shows.

Closed forms take no time; where records or clients are sampled it takes a second, once for each set of numbers.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from shieldwall.accounting import FixedSize, rounded_up, true_epsilon
from shieldwall.accounting.floor import MOST_EPSILON
from shieldwall.accounting.sensitivity import entry_of
from shieldwall.contract.privacy import AdaptiveClippingPolicy, PrivacyMode, PrivacyPolicy
from shieldwall.control.api.accountable import ACCOUNTABLE
from shieldwall.control.api.aggregation_policy import aggregation_policy
from shieldwall.control.api.mechanism import mechanism_of, population_of
from shieldwall.control.api.privacy import PrivacyMode as Mode
from shieldwall.control.api.privacy_sentences import (
    false_epsilon,
    out_of_reach,
    overspent,
    too_loud,
    unreachable,
)
from shieldwall.control.api.problems import InvalidTrainingError, Problem
from shieldwall.control.api.terms import TERMS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from shieldwall.control.api.mechanism import Mechanism
    from shieldwall.control.api.privacy import Privacy
    from shieldwall.control.api.spec import FederatedTrainingSpec

_SMALLEST: Final = 0.001


def calibrated(spec: FederatedTrainingSpec) -> PrivacyPolicy | None:
    """What the pods go by; None where no noise is added. ``spec`` has kept the rules that cross fields.

    Raises InvalidTrainingError with the numbers where no noise, or not the noise that is given, keeps what is wanted.
    """
    privacy, mechanism = spec.privacy, mechanism_of(spec)
    if problems := privacy_problems(spec):
        raise InvalidTrainingError(problems)
    if privacy is None or mechanism is None or privacy.clip is None:
        return None
    noise = _noise(privacy, mechanism)
    return PrivacyPolicy(
        mode=PrivacyMode(spec.privacy_mode.value),
        epsilon=_target(privacy, mechanism, noise),
        delta=mechanism.delta,
        clip=privacy.clip,
        noise_multiplier=noise,
        batch_size=privacy.batch_size,
        steps=privacy.steps,
        records=privacy.records,
        population=population_of(spec),
        adaptive=_adaptive(privacy),
    )


def privacy_problems(spec: FederatedTrainingSpec) -> tuple[Problem, ...]:
    """All that is wrong with the numbers; none where the rules that cross fields ask for more of them first.

    What no accountant counts is told as the rules tell it, and nothing is computed.
    """
    privacy, mechanism = spec.privacy, mechanism_of(spec)
    if privacy is None or mechanism is None or (privacy.epsilon is None and privacy.noise_multiplier is None):
        return ()
    breaches = ((rule, rule.breach(spec, TERMS)) for rule in ACCOUNTABLE)
    if beyond := tuple(Problem(f"spec.{rule.field}", breach) for rule, breach in breaches if breach is not None):
        return beyond
    return tuple(_problems(spec, privacy, mechanism))


def _problems(spec: FederatedTrainingSpec, privacy: Privacy, mechanism: Mechanism) -> Iterator[Problem]:
    try:
        noise = _noise(privacy, mechanism)
    except ValueError:
        yield _unreached(privacy.epsilon or 0.0, mechanism)
        return
    spent = mechanism.epsilon(noise)
    wanted = privacy.epsilon if privacy.epsilon is not None else MOST_EPSILON
    if spent > wanted:
        yield Problem("spec.privacy.noiseMultiplier", overspent(wanted, noise, spent, mechanism, _hidden(spec)))
    if _unsound(spec):
        yield Problem("spec.privacy", _true(spec, noise, min(spent, wanted), mechanism))
    adaptive = privacy.adaptive_clipping
    if adaptive is not None and privacy.noise_multiplier is None and noise >= adaptive.count_noise:
        yield Problem("spec.privacy.adaptiveClipping.countNoise", too_loud(noise, adaptive.count_noise, mechanism))


def _unreached(epsilon: float, mechanism: Mechanism) -> Problem:
    """Whether it is δ that cannot be met, or ε."""
    if mechanism.delta < mechanism.loose_delta:
        with suppress(ValueError):
            replace(mechanism, delta=mechanism.loose_delta).noise(epsilon)
            return Problem("spec.privacy.delta", out_of_reach(epsilon, mechanism))
    return Problem("spec.privacy.epsilon", unreachable(epsilon, mechanism))


def _noise(privacy: Privacy, mechanism: Mechanism) -> float:
    """As given, or the least that epsilon allows; raises ValueError where there is none."""
    if privacy.noise_multiplier is not None:
        return privacy.noise_multiplier
    return mechanism.noise(privacy.epsilon or 0.0)


def _target(privacy: Privacy, mechanism: Mechanism, noise: float) -> float:
    """As given, or what all rounds cost with the noise that is."""
    return privacy.epsilon if privacy.epsilon is not None else rounded_up(max(mechanism.epsilon(noise), _SMALLEST))


def _hidden(spec: FederatedTrainingSpec) -> int:
    return 0 if spec.privacy_mode is Mode.RECORD_LEVEL else len(spec.clients)


def _unsound(spec: FederatedTrainingSpec) -> bool:
    central = spec.privacy_mode is Mode.CLIENT_LEVEL_CENTRAL
    return central and bool(entry_of(aggregation_policy(spec)).refused)


def _true(spec: FederatedTrainingSpec, noise: float, claimed: float, mechanism: Mechanism) -> str:
    """What the rule really gives with noise that is calibrated for a mean."""
    policy, n = aggregation_policy(spec), len(spec.clients)
    drawn = mechanism.sampling if isinstance(mechanism.sampling, FixedSize) else None
    epsilon = true_epsilon(policy, n, noise, mechanism.releases, mechanism.delta, drawn)
    return false_epsilon(policy, n, noise, epsilon, claimed, mechanism.delta)


def _adaptive(privacy: Privacy) -> AdaptiveClippingPolicy | None:
    adaptive = privacy.adaptive_clipping
    if adaptive is None:
        return None
    return AdaptiveClippingPolicy(quantile=adaptive.quantile, rate=adaptive.rate, count_noise=adaptive.count_noise)
