"""The policies whose privacy is attacked for the page: ten clients, twelve rounds, calibrated as the operator does."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from shieldwall.accounting import Poisson
from shieldwall.contract.policy import (
    AggregationPolicy,
    AppPolicy,
    ClientPolicy,
    FederationPolicy,
    RoundsPolicy,
    Rule,
    RuntimePolicy,
)
from shieldwall.contract.privacy import PrivacyMode, PrivacyPolicy
from shieldwall.control.api.mechanism import Mechanism
from shieldwall.lab.grid import public_key
from shieldwall.lab.privacy.attack import PrivacyTrial
from shieldwall.lab.privacy.kinds import AttackedTask, PrivacyAttack

ROUNDS: Final = 12
DELTA: Final = 1e-5
CLIP: Final = 1.0
RECORDS: Final = 140
BATCH: Final = 14
STEPS: Final = 10
NAMES: Final = tuple(f"client-{place:02}" for place in range(10))


@dataclass(frozen=True)
class Case:
    """What is tried on which mode, at which ε, with how many seeds."""

    attack: PrivacyAttack
    mode: PrivacyMode
    epsilon: float
    seeds: int

    @property
    def key(self) -> str:
        """As one line of results is known by."""
        return f"{self.attack} {self.mode} {self.epsilon:g} {self.seeds}"

    @property
    def drawn(self) -> bool:
        """Whether the page shows pictures of it."""
        return self.mode is PrivacyMode.RECORD_LEVEL and self.epsilon == 1.0


_RECORD, _LOCAL, _CENTRAL = PrivacyMode
CASES: Final = (
    Case(PrivacyAttack.INVERSION, _RECORD, 1.0, 3),
    Case(PrivacyAttack.INVERSION, _LOCAL, 8.0, 3),
    Case(PrivacyAttack.INVERSION, _CENTRAL, 8.0, 3),
    Case(PrivacyAttack.MEMBERSHIP, _RECORD, 1.0, 3),
    Case(PrivacyAttack.MEMBERSHIP, _CENTRAL, 1.0, 3),
    *(Case(PrivacyAttack.AUDIT, _RECORD, epsilon, 5) for epsilon in (1.0, 2.0, 4.0)),
    *(Case(PrivacyAttack.AUDIT, _CENTRAL, epsilon, 5) for epsilon in (1.0, 2.0, 4.0)),
    Case(PrivacyAttack.AUDIT, _LOCAL, 1.0, 2),
)


def trial_of(case: Case) -> PrivacyTrial:
    """Of a training of ten clients."""
    policy = RuntimePolicy(
        federation=FederationPolicy(uid="laboratory", trust_domain="lab.example", namespace="lab", name="attacked"),
        app=AppPolicy(client_app="lab:app", model="lab:model"),
        rounds=RoundsPolicy(count=ROUNDS, min_replies=len(NAMES)),
        aggregation=AggregationPolicy(rule=Rule.CLIPPED_MEAN, max_norm=CLIP),
        privacy=_privacy(case.mode, case.epsilon),
        clients=tuple(ClientPolicy(name=name, node_public_key=public_key(name)) for name in NAMES),
    )
    return PrivacyTrial(case.mode.value, policy, case.attack, AttackedTask.DIGITS, case.seeds)


def _privacy(mode: PrivacyMode, epsilon: float) -> PrivacyPolicy:
    record, central = mode is PrivacyMode.RECORD_LEVEL, mode is PrivacyMode.CLIENT_LEVEL_CENTRAL
    sampling, steps = (Poisson(BATCH / RECORDS), STEPS) if record else (None, 1)
    noise = Mechanism(DELTA, ROUNDS, spare=not central, steps=steps, sampling=sampling).noise(epsilon)
    batches = {"records": RECORDS, "batch_size": BATCH, "steps": STEPS} if record else {}
    return PrivacyPolicy(mode=mode, epsilon=epsilon, delta=DELTA, clip=CLIP, noise_multiplier=noise, **batches)
