"""What is said of privacy's numbers: what is wrong, and the nearest settings that are sound."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from shieldwall.accounting.adaptive import COHORT
from shieldwall.accounting.floor import MOST_EPSILON
from shieldwall.accounting.sensitivity import UNKNOWN, entry_of, name_of
from shieldwall.control.api.privacy import MODE_TO_BE_SAID

if TYPE_CHECKING:
    from shieldwall.contract.policy import AggregationPolicy
    from shieldwall.control.api.mechanism import Mechanism

_THOUSAND: Final = 1000.0


def number(value: float) -> str:
    """To three digits, as people write it; an infinite ε is how accountants say that nothing is hidden."""
    if math.isinf(value):
        return f"more than {MOST_EPSILON:,.0f}"
    return f"{value:,.0f}" if value >= _THOUSAND else f"{value:.3g}"


def over(mechanism: Mechanism) -> str:
    """``over 100 rounds``, and what else is counted."""
    rounds = f"over {mechanism.rounds} round{'s' if mechanism.rounds != 1 else ''}"
    if mechanism.spare:
        rounds += f" and {mechanism.attempts - mechanism.rounds} that may be repeated"
    return rounds if mechanism.steps == 1 else f"{rounds}, {mechanism.steps} steps each"


def unreachable(epsilon: float, mechanism: Mechanism) -> str:
    """No noise gives the target."""
    return f"{_no_noise(epsilon, mechanism)} Use a larger epsilon, or fewer rounds."


def out_of_reach(epsilon: float, mechanism: Mechanism) -> str:
    """No noise gives the target with this δ."""
    return (
        f"{_no_noise(epsilon, mechanism)} A larger delta does it: up to {mechanism.loose_delta:.3g} it is a tenth of"
        f" one in {mechanism.units} at most."
    )


def loose(mechanism: Mechanism, unit: str) -> str:
    """δ is allowed, and much."""
    return (
        f"δ = {mechanism.delta:g} is more than a tenth of one in {mechanism.units} {unit}s. A mechanism that gives one"
        f" of them away has δ = 1/{mechanism.units}. Use a smaller delta."
    )


def _no_noise(epsilon: float, mechanism: Mechanism) -> str:
    return f"No noise of any use gives ε = {epsilon:g} at δ = {mechanism.delta:g} {over(mechanism)}."


def overspent(wanted: float, noise: float, spent: float, mechanism: Mechanism, clients: int) -> str:
    """The noise that is given is too little; ``clients`` have all that they hold hidden, or 0 where records are."""
    fit = mechanism.rounds_within(wanted, noise)
    fewer = f"rounds.count <= {fit}" if fit else f"not even one round fits with {noise:g}"
    try:
        enough = f"Use noiseMultiplier >= {mechanism.noise(wanted):g}"
    except ValueError:
        enough = "Use a larger epsilon"
    return (
        f"Noise {noise:g} gives ε = {number(spent)} at δ = {mechanism.delta:g} {over(mechanism)}, not {wanted:g}."
        f" {enough}{', or ' if fit else '; '}{fewer}.{_small(clients)}"
    )


def _small(clients: int) -> str:
    if not 0 < clients < MODE_TO_BE_SAID:
        return ""
    return (
        f" With {clients} clients, noise that hides one of them leaves little to learn; RecordLevel hides each record."
    )


def false_epsilon(  # noqa: PLR0913, PLR0917  # the rule, the noise, and what it gives
    policy: AggregationPolicy, n: int, noise: float, epsilon: float, claimed: float, delta: float
) -> str:
    """The rule makes false what the noise would give a mean."""
    entry = entry_of(policy)
    gives = "may give" if entry.formula == UNKNOWN else "gives"
    return (
        f"{name_of(policy)} with noise {noise:g} {gives} ε = {number(epsilon)} at δ = {delta:g}, not {number(claimed)}:"
        f" one of {n} clients can change its result {entry.times_mean(policy, n):g} times as much as a mean."
        f" ClippedMean gives ε = {number(claimed)}; under RecordLevel and ClientLevelLocal clients add the noise, and"
        " every rule does."
    )


def too_loud(noise: float, count_noise: float, mechanism: Mechanism) -> str:
    """Adaptive clipping leaves nothing to spend on the update."""
    return (
        f"The noise has to be {noise:g} {over(mechanism)}, and the count of updates within the clip, with noise"
        f" {count_noise:g}, alone spends more than all there is (Andrew 2019, Theorem 1). A countNoise above {noise:g}"
        f" needs {math.floor(noise * COHORT) + 1} clients a round. Leave adaptiveClipping out, or use a larger epsilon."
    )
