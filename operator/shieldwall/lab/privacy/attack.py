"""``shieldwall simulate --privacy-attack``: a training's privacy attacked, and what the same does without privacy."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

import numpy as np

from shieldwall.control.plan.policy import runtime_policy
from shieldwall.lab.grid import public_key
from shieldwall.lab.privacy import inversion, membership
from shieldwall.lab.privacy.attacked import bare, guarantee, private
from shieldwall.lab.privacy.bounds import most_area, most_true_positives
from shieldwall.lab.privacy.canaries import Audit, audit
from shieldwall.lab.privacy.clients import Federation, Recipe, Records
from shieldwall.lab.privacy.kinds import AttackedTask, PrivacyAttack
from shieldwall.lab.privacy.learners import TanhNetwork
from shieldwall.lab.run import Laboratory
from shieldwall.lab.simulation import UnfitTrainingError
from shieldwall.lab.tasks import TASKS
from shieldwall.local.planner import local_settings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from shieldwall.contract.policy import RuntimePolicy
    from shieldwall.contract.privacy import PrivacyPolicy
    from shieldwall.control.api.training import Training
    from shieldwall.lab.privacy.attacked import Guarantee
    from shieldwall.lab.tasks import Task

    Tell = Callable[[str], None]

SHADOWS: Final = 24
"""Models of one seed; each is a victim once."""
EACH: Final = 10
"""Records of a client whose membership is asked for: few, and learnt by heart."""
VICTIMS: Final = 20
"""Clients of one seed whose images are asked for."""
_FEWEST: Final = 2
_BY_HEART: Final = Recipe(rate=1.0, steps=20, private_rate=2.0)
WITHOUT: Final = "without privacy"
NOTHING: Final = "noise alone"
_DROWNED: Final = 1e9
"""A noise multiplier that leaves nothing of an update: what chance makes of it."""


@dataclass(frozen=True, slots=True)
class MembershipFound:
    """Of one unit, by one policy."""

    label: str
    unit: membership.Unit
    found: membership.Membership
    promised: Guarantee | None
    """None where nothing is promised for this unit."""

    @property
    def most(self) -> tuple[float, float] | None:
        """The largest area and share of true positives that what is promised allows."""
        if self.promised is None:
            return None
        epsilon, delta = self.promised.epsilon, self.promised.delta
        return most_area(epsilon, delta), most_true_positives(membership.FALSE_POSITIVES, epsilon, delta)

    @property
    def holds(self) -> bool:
        """Whether the attack, with its uncertainty, reached no more than is allowed."""
        return self.most is None or (
            self.found.area.low <= self.most[0] and self.found.true_positives.low <= self.most[1]
        )


@dataclass(frozen=True, slots=True)
class InversionFound:
    """Of so many records at once, by one policy."""

    label: str
    found: inversion.Inversion

    @property
    def holds(self) -> bool:
        """Nothing is promised of likeness as such."""
        return True


@dataclass(frozen=True, slots=True)
class AuditFound:
    """Of one seed; ``control``: the same with the noise switched off, where the audit has to find it out."""

    label: str
    seed: int
    found: Audit
    control: Audit

    @property
    def holds(self) -> bool:
        """Whether ε stands, and would not without the noise."""
        return self.found.holds and not self.control.holds


Found = MembershipFound | InversionFound | AuditFound


@dataclass(frozen=True, slots=True)
class PrivacyTrial:
    """All that a command asks for."""

    training: str
    policy: RuntimePolicy
    attack: PrivacyAttack
    task: AttackedTask
    seeds: int

    @classmethod
    def of(cls, training: Training, attack: PrivacyAttack, task: AttackedTask, seeds: int) -> PrivacyTrial:
        """Raises UnfitTrainingError where there is nothing to attack, or too little data for so many clients."""
        keys = {client.name: public_key(client.name) for client in training.spec.clients}
        policy = runtime_policy(training, local_settings(), keys)
        made = cls(training.name, policy, attack, task, seeds)
        if attack is PrivacyAttack.AUDIT:
            made.require_accounted()
        if attack is PrivacyAttack.MEMBERSHIP and made.each < _FEWEST:
            raise UnfitTrainingError(
                "spec.clients",
                f"{len(policy.clients)} clients and as many strangers share {len(TASKS[task]().classes)} images of"
                f" {task}: less than {_FEWEST} for each. Take fewer clients, or --task mnist",
            )
        return made

    def require_accounted(self) -> PrivacyPolicy:
        """What is audited; raises UnfitTrainingError where there is nothing."""
        privacy = self.policy.privacy
        if privacy is None:
            raise UnfitTrainingError("spec.privacy", "nothing is accounted for without it, so nothing can be audited")
        if privacy.population is not None:
            raise UnfitTrainingError(
                "spec.privacy.amplification", "what is gained by drawing clients in secret is not audited; try without"
            )
        return privacy

    @property
    def label(self) -> str:
        """The policy's privacy in a few words."""
        privacy = self.policy.privacy
        return WITHOUT if privacy is None else f"{privacy.mode}, ε = {privacy.epsilon:g}"

    @property
    def each(self) -> int:
        """Records of one client in a membership attack."""
        return min(EACH, len(TASKS[self.task]().classes) // (2 * len(self.policy.clients)))

    def run(self, tell: Tell) -> Iterator[Found]:
        """Each finding as soon as it is there; raises NoAuditError, NoModelError and UnsoundPrivacyError."""
        with Laboratory.of(self.policy, datetime.now(UTC)) as laboratory:
            match self.attack:
                case PrivacyAttack.MEMBERSHIP:
                    yield from self._membership(laboratory, tell)
                case PrivacyAttack.INVERSION:
                    yield from self._inversion(tell)
                case PrivacyAttack.AUDIT:
                    yield from self._audit(tell)

    def _membership(self, laboratory: Laboratory, tell: Tell) -> Iterator[Found]:
        task, policies = TASKS[self.task](), {WITHOUT: bare(self.policy)}
        if self.policy.privacy is not None:
            policies[self.label] = private(self.policy, self.each)
        for label, policy in policies.items():
            federation = Federation(policy, TanhNetwork(task), _BY_HEART, laboratory)
            promised = None if policy.privacy is None else guarantee(policy.privacy, policy.rounds.count)
            for unit in membership.Unit:
                told = []
                for seed in range(self.seeds):
                    tell(f"{label} · {unit} · seed {seed + 1} of {self.seeds} · {SHADOWS} models")
                    told += self._told(federation, task, unit, seed)
                found = membership.measured(told, np.random.default_rng(0))
                covered = promised is not None and (promised.hides_clients or unit is membership.Unit.RECORD)
                yield MembershipFound(label, unit, found, promised if covered else None)

    def _told(self, federation: Federation, task: Task, unit: membership.Unit, seed: int) -> list[membership.Told]:
        rng, clients = np.random.default_rng([seed, 9]), len(self.policy.clients)
        drawn = rng.permutation(len(task.classes))[: 2 * clients * self.each]
        whole = Records(task.images, task.classes)
        pool = [whole.take(places) for places in np.split(drawn, 2 * clients)]
        return membership.likelihood_ratios(*membership.shadows(federation, pool, unit, SHADOWS, rng))

    def _inversion(self, tell: Tell) -> Iterator[Found]:
        task, privacy = TASKS[self.task](), self.policy.privacy
        sights: dict[str, PrivacyPolicy | None] = {WITHOUT: None}
        if privacy is not None:
            silent = privacy.model_copy(update={"noise_multiplier": _DROWNED})
            sights |= {self.label: privacy, NOTHING: silent}
        for records, victims in ((1, VICTIMS), (inversion.BATCH, VICTIMS // 2)):
            for label, sight in sights.items():
                groups = []
                for seed in range(self.seeds):
                    tell(f"{label} · {records} records a client · seed {seed + 1} of {self.seeds}")
                    groups += inversion.invert(
                        task, inversion.Aim(sight, len(self.policy.clients), records, victims), seed
                    )
                yield InversionFound(label, inversion.measured(groups, records, np.random.default_rng(0)))

    def _audit(self, tell: Tell) -> Iterator[Found]:
        privacy = self.require_accounted()
        for seed in range(self.seeds):
            tell(f"{self.label} · seed {seed + 1} of {self.seeds}")
            found = audit(self.policy, privacy, seed)
            yield AuditFound(self.label, seed, found, audit(self.policy, privacy, seed, silent=True))
