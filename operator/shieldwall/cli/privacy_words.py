"""What ``shieldwall validate`` says of a sound training's privacy: the true ε, its noise, and what it costs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from shieldwall.accounting.sensitivity import entry_of, sensitivity_of
from shieldwall.contract.privacy import PrivacyMode
from shieldwall.control.api.aggregation_policy import aggregation_policy
from shieldwall.control.api.calibration import calibrated
from shieldwall.control.api.mechanism import mechanism_of
from shieldwall.control.api.privacy import LOW_SIGNAL, Acknowledgement
from shieldwall.control.api.privacy_sentences import loose, number, over

if TYPE_CHECKING:
    from shieldwall.contract.privacy import PrivacyPolicy
    from shieldwall.control.api.mechanism import Mechanism
    from shieldwall.control.api.spec import FederatedTrainingSpec

_NOTHING: Final = (
    "None: no noise is added, and no ε bounds what the model tells of a record or a client. spec.privacy hides them;"
    " its mode is RecordLevel by default with fewer than 100 clients."
)


def privacy_rows(spec: FederatedTrainingSpec) -> list[tuple[str, str]]:
    """Names and sentences."""
    policy, mechanism = calibrated(spec), mechanism_of(spec)
    if policy is None or mechanism is None:
        return [("privacy", _NOTHING)]
    return [*_promised(spec, policy, mechanism), *_warnings(policy, mechanism)]


def _promised(spec: FederatedTrainingSpec, policy: PrivacyPolicy, mechanism: Mechanism) -> list[tuple[str, str]]:
    rows = [("privacy", _promise(policy, mechanism))]
    match policy.mode:
        case PrivacyMode.RECORD_LEVEL:
            return [*rows, ("noise", _of_steps(policy))]
        case PrivacyMode.CLIENT_LEVEL_LOCAL:
            return [*rows, ("noise", _of_updates(policy))]
        case PrivacyMode.CLIENT_LEVEL_CENTRAL:
            return [*rows, *_of_releases(spec, policy)]


def _warnings(policy: PrivacyPolicy, mechanism: Mechanism) -> list[tuple[str, str]]:
    return [("delta", loose(mechanism, _unit(policy)))] if mechanism.delta > mechanism.loose_delta else []


def _unit(policy: PrivacyPolicy) -> str:
    return "record" if policy.mode is PrivacyMode.RECORD_LEVEL else "client"


def _promise(policy: PrivacyPolicy, mechanism: Mechanism) -> str:
    unit = _unit(policy)
    account = f"ε = {number(mechanism.epsilon(policy.noise_multiplier))} of {policy.epsilon:g} at δ = {policy.delta:g}"
    drawn = " and if nobody learns who takes part" if policy.population is not None else ""
    return f"{policy.mode.value}: {account} {over(mechanism)}, when one {unit} is replaced by another{drawn}."


def _of_steps(policy: PrivacyPolicy) -> str:
    return (
        f"{_times(policy, 2 * policy.clip, '2C')} on each sum of gradients that are clipped to C = {policy.clip:g},"
        f" over {policy.batch_size} in the mean of {policy.records} records or more."
    )


def _of_updates(policy: PrivacyPolicy) -> str:
    deviation, clip = number(policy.noise_multiplier * 2 * policy.clip), f"{policy.clip:g}"
    return (
        f"{_times(policy, 2 * policy.clip, '2C')} on each parameter of each update that is clipped to C = {clip}. An"
        f" update of d parameters then has a norm of about {deviation}·√d, and is not refused for it."
    )


def _of_releases(spec: FederatedTrainingSpec, policy: PrivacyPolicy) -> list[tuple[str, str]]:
    rule, n = aggregation_policy(spec), spec.asked
    entry, changed = entry_of(rule), sensitivity_of(rule, n, policy.clip)
    most = (policy.clip / (LOW_SIGNAL * policy.noise_multiplier * changed)) ** 2
    what = f"what one client changes, {number(changed)} ({entry.formula}; n = {n}, C = {policy.clip:g})"
    low = (
        f"Below {LOW_SIGNAL} for a model of {_parameters(most)}: the noise then outweighs what one client says, which"
        f" the condition PrivacySignal reports unless privacy.acknowledge is [{Acknowledgement.LOW_SIGNAL_TO_NOISE}]."
    )
    rows = [("noise", f"{_times(policy, changed, what)} on each parameter of what is released."), ("signal", low)]
    return [*rows, ("warning", f"{rule.rule.value}: {entry.warned}.")] if entry.warned else rows


def _times(policy: PrivacyPolicy, changed: float, what: str) -> str:
    deviation = number(policy.noise_multiplier * changed)
    return f"{policy.noise_multiplier:g} times {what}: a standard deviation of {deviation}"


def _parameters(most: float) -> str:
    return f"more than {most:,.0f} parameters" if most >= 1 else "any size"
