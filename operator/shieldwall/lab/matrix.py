"""Every attack against every rule: which trials there are, and what one came to."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from enum import Enum
from inspect import isclass
from itertools import product
from typing import TYPE_CHECKING, Any, Final, get_args

import numpy as np
from pydantic import BaseModel, ConfigDict

from shieldwall.contract.policy import AggregationPolicy, PreAggregation, RoundsPolicy, Rule
from shieldwall.lab.attacks import PLANS, Goal, LabAttack
from shieldwall.lab.partition import dirichlet
from shieldwall.lab.policies import lab_policy
from shieldwall.lab.roster import poisoned
from shieldwall.lab.run import SUCCESS
from shieldwall.lab.simulation import last, rule_name
from shieldwall.lab.tasks import TASKS, BatchCohort, app_of
from shieldwall.runtime.aggregation import UnsoundPolicyError, required_replies

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from shieldwall.contract.policy import RuntimePolicy
    from shieldwall.lab.run import Laboratory

CLIENTS: Final = 15
LIARS: Final = 3
"""Always 3 attack; each rule runs with the largest f ≤ 3 for which its theorem holds at n = 15."""
ROUNDS: Final = 20
ALPHAS: Final = (math.inf, 0.5, 0.1)
SEEDS: Final = 5
MAX_NORM: Final = 1.0
"""For rules that need a bound: about the median norm of an honest update in these tasks' first rounds."""
NAMES: Final = tuple(f"client-{place:02}" for place in range(CLIENTS))


@dataclass(frozen=True, slots=True)
class Defence:
    """A rule, with what goes before it."""

    policy: AggregationPolicy
    before: str | None
    """The pre-aggregation; None: none."""

    @property
    def name(self) -> str:
        """As in a training's file."""
        return rule_name(self.policy)


class Result(BaseModel):
    """One trial."""

    model_config = ConfigDict(extra="forbid", frozen=True, ser_json_inf_nan="strings")

    task: str
    alpha: float
    attack: str | None
    defence: str
    seed: int
    accuracy: float | None
    """None: the training did not finish."""
    success: float | None
    seconds: float

    @property
    def key(self) -> tuple[str, float, str | None, str, int]:
        """Which trial it is."""
        return self.task, self.alpha, self.attack, self.defence, self.seed


def pre_aggregations() -> list[Any]:
    """What the policy offers to do before a rule."""
    offered = AggregationPolicy.model_fields.get("pre_aggregation")
    kinds = get_args(offered.annotation) if offered is not None else ()
    return [member for kind in kinds if isclass(kind) and issubclass(kind, Enum) for member in kind]


def defences() -> tuple[list[Defence], list[str]]:
    """All that can run with 15 replies, and sentences on what cannot."""
    found, refused = [], []
    for before, rule in product([None, *pre_aggregations()], Rule):
        policy = _fitting(rule, before)
        if policy is not None:
            found.append(Defence(policy, None if before is None else str(before.value)))
        elif rule is not Rule.FED_AVG:
            refused.append(f"{before.value} + {rule}" if before is not None else rule.value)
    return found, refused


def _fitting(rule: Rule, before: Any) -> AggregationPolicy | None:  # noqa: ANN401  # a member of an enum, or None
    extra = {} if before is None else {"pre_aggregation": before}
    for f, norm in product(range(LIARS, -1, -1), (None, MAX_NORM)):
        policy = AggregationPolicy.model_validate({"rule": rule, "byzantine": f, "max_norm": norm, **extra})
        try:
            needed = required_replies(policy)
        except UnsoundPolicyError:
            continue
        if needed <= CLIENTS and (f > 0 or rule is Rule.FED_AVG):
            return policy
    return None


def policy_of(aggregation: AggregationPolicy, rounds: int, *, signed: bool = False) -> RuntimePolicy:
    """A training of 15 clients by a rule."""
    return lab_policy(
        "matrix", NAMES, RoundsPolicy(count=rounds, min_replies=CLIENTS - LIARS), aggregation, signed=signed
    )


@dataclass(frozen=True, slots=True)
class Cell:
    """One trial to run."""

    task: str
    alpha: float
    attack: LabAttack | None
    defence: Defence
    seed: int

    @property
    def key(self) -> tuple[str, float, str | None, str, int]:
        """As Result.key."""
        return self.task, self.alpha, self.attack, self.defence.name, self.seed


def cells(
    tasks: Sequence[str],
    alphas: Sequence[float],
    attacks: Sequence[LabAttack | None],
    chosen: Sequence[Defence],
    seeds: int,
) -> Iterator[Cell]:
    """Seed by seed, so that a matrix that is cut short is whole with fewer seeds."""
    for seed, task, alpha, defence, attack in product(range(seeds), tasks, alphas, chosen, attacks):
        yield Cell(task, alpha, attack, defence, seed)


def measure(cell: Cell, laboratory: Laboratory, rounds: int = ROUNDS, *, signed: bool = False) -> Result:
    """Run one trial: the last 3 of 15 clients attack. Everything random follows from the seed."""
    task = TASKS[cell.task]()
    attackers = {} if cell.attack is None else dict.fromkeys(NAMES[-LIARS:], cell.attack)
    parts = dirichlet(task.classes, CLIENTS, cell.alpha, np.random.default_rng([cell.seed, 4]))
    cohort = BatchCohort(task, parts, NAMES, poisoned(attackers), cell.seed)
    policy = policy_of(cell.defence.policy, rounds, signed=signed)
    trial = laboratory.managed(policy, app_of(task, cell.seed), cohort, attackers, cell.seed)
    return Result(
        task=cell.task,
        alpha=cell.alpha,
        attack=cell.attack,
        defence=cell.defence.name,
        seed=cell.seed,
        accuracy=None if trial.message else last(trial, "accuracy"),
        success=None if trial.message else last(trial, SUCCESS),
        seconds=trial.seconds,
    )


def protocol_fates(laboratory: Laboratory, rounds: int = 3) -> dict[LabAttack, dict[str, int]]:
    """What became of the attackers' replies under each attack on the protocol, with signatures, by the default rule."""
    task = TASKS["digits"]()
    default = AggregationPolicy(
        rule=Rule.FED_TRIMMED_AVG, byzantine=LIARS, pre_aggregation=PreAggregation.NEAREST_NEIGHBOR_MIXING
    )
    policy = policy_of(default, rounds, signed=True)
    parts = dirichlet(task.classes, CLIENTS, math.inf, np.random.default_rng([0, 4]))
    fates = {}
    for kind in (kind for kind, plan in PLANS.items() if plan.goal is Goal.PROTOCOL):
        attackers = dict.fromkeys(NAMES[-LIARS:], kind)
        cohort = BatchCohort(task, parts, NAMES, {}, 0)
        trial = laboratory.managed(policy, app_of(task, 0), cohort, attackers, 0)
        replies = [reply for record in trial.records for reply in record.replies if reply.client in attackers]
        fates[kind] = dict(Counter(reply.fate.value for reply in replies))
    return fates
