"""The policies whose privacy is attacked for the page: ten clients, twelve rounds, calibrated as the operator does."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from shieldwall.contract.policy import AggregationPolicy, RoundsPolicy, Rule
from shieldwall.contract.privacy import PrivacyMode
from shieldwall.lab.policies import Batches, lab_policy, private_policy
from shieldwall.lab.privacy.attack import PrivacyTrial
from shieldwall.lab.privacy.kinds import AttackedTask, PrivacyAttack

ROUNDS: Final = 12
CLIP: Final = 1.0
BATCHES: Final = Batches(records=140, batch_size=14, steps=10)
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
    policy = lab_policy(
        "attacked",
        NAMES,
        RoundsPolicy(count=ROUNDS, min_replies=len(NAMES)),
        AggregationPolicy(rule=Rule.CLIPPED_MEAN, max_norm=CLIP),
        privacy=private_policy(case.mode, case.epsilon, ROUNDS, CLIP, BATCHES),
        signed=True,
    )
    return PrivacyTrial(case.mode.value, policy, case.attack, AttackedTask.DIGITS, case.seeds)
