"""What is attacked: a training's policy on the laboratory's own clients and data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from shieldwall.accounting import Poisson, Release, epsilon_of
from shieldwall.contract.privacy import PrivacyMode
from shieldwall.lab.policies import LAB_APP
from shieldwall.local.baseline import unprotected_policy
from shieldwall.runtime.privacy.record_level import RecordLevel

if TYPE_CHECKING:
    from shieldwall.contract.policy import RuntimePolicy
    from shieldwall.contract.privacy import PrivacyPolicy


@dataclass(frozen=True, slots=True)
class Guarantee:
    """What has been promised: (ε, δ), with whose data in mind."""

    mode: PrivacyMode
    epsilon: float
    delta: float

    @property
    def hides_clients(self) -> bool:
        """Whether all of a client is hidden, and not one record of it."""
        return self.mode is not PrivacyMode.RECORD_LEVEL


def bare(policy: RuntimePolicy) -> RuntimePolicy:
    """The policy with neither noise nor any other protection, for an app of the laboratory."""
    return _own_app(unprotected_policy(policy))


def private(policy: RuntimePolicy, records: int) -> RuntimePolicy:
    """The policy as it is, for clients of the laboratory with ``records`` records each; replies are not signed."""
    privacy = None if policy.privacy is None else fitted(policy.privacy, records, policy.rounds.count)
    return _own_app(policy).model_copy(update={"privacy": privacy, "require_signatures": False})


def fitted(privacy: PrivacyPolicy, records: int, rounds: int) -> PrivacyPolicy:
    """For clients with so many records: DP-SGD draws each as often as the policy says, or as near as a batch can be.

    Noise, clip and steps stay, and ε is what all rounds cost.
    """
    if privacy.mode is not PrivacyMode.RECORD_LEVEL:
        return privacy
    batch = max(1, round(RecordLevel.of(privacy).rate * records))
    changed = privacy.model_copy(update={"records": records, "batch_size": batch})
    return changed.model_copy(update={"epsilon": guarantee(changed, rounds).epsilon})


def guarantee(privacy: PrivacyPolicy, rounds: int) -> Guarantee:
    """What ``rounds`` rounds by this policy cost, by the accountant and not by the policy's own word."""
    release, count = Release(privacy.noise_multiplier), rounds
    if privacy.mode is PrivacyMode.RECORD_LEVEL:
        own = RecordLevel.of(privacy)
        release, count = Release(privacy.noise_multiplier, Poisson(own.rate)), rounds * own.steps
    return Guarantee(privacy.mode, epsilon_of({release: count}, privacy.delta), privacy.delta)


def _own_app(policy: RuntimePolicy) -> RuntimePolicy:
    return policy.model_copy(update={"app": LAB_APP})
