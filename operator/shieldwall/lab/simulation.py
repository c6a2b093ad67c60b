"""``shieldwall simulate``: what is run, and what came of it over seeds."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from statistics import fmean, pstdev
from typing import TYPE_CHECKING, Final

from shieldwall.contract.policy import AggregationPolicy, PreAggregation, Rule
from shieldwall.contract.records import Outcome
from shieldwall.control.api.aggregation import Aggregation
from shieldwall.control.plan.policy import runtime_policy
from shieldwall.lab.grid import public_key
from shieldwall.lab.roster import assign
from shieldwall.lab.run import SUCCESS, Laboratory
from shieldwall.lab.user_app import UserApp
from shieldwall.local.baseline import unprotected_policy
from shieldwall.local.planner import local_settings
from shieldwall.local.standing import Standing, is_against, standing_of
from shieldwall.runtime.aggregation import required_replies

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from datetime import datetime

    from shieldwall.contract.policy import ConfigValue, RuntimePolicy
    from shieldwall.contract.records import ReplyRecord, RoundRecord
    from shieldwall.control.api.training import Training
    from shieldwall.lab.attacks import LabAttack
    from shieldwall.lab.roster import Band
    from shieldwall.lab.run import Trial

ALPHA: Final = "alpha"
"""The key of the app's config by which it shares its data out."""
ROUNDS: Final = "num-server-rounds"
"""Flower's customary key for how many rounds a ServerApp runs."""
SEED: Final = "seed"
INFINITE: Final = 1e6
"""Stands for α = ∞: configurations travel as text, and no Dirichlet draw takes infinity."""


class UnfitTrainingError(ValueError):
    """The training cannot be simulated like this; ``field`` says what has to change."""

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(f"{field}: {reason}")
        self.field = field


@dataclass(frozen=True, slots=True)
class Defence:
    """One policy to try."""

    label: str
    policy: RuntimePolicy
    protected: bool


@dataclass(frozen=True, slots=True)
class Row:
    """One defence under one attack, over all seeds."""

    defence: Defence
    bands: tuple[Band, ...]
    attackers: Mapping[str, LabAttack]
    trials: tuple[Trial, ...]

    @property
    def label(self) -> str:
        """The row in a few words."""
        return f"{self.defence.label}, {' and '.join(map(str, self.bands)) or 'no attackers'}"

    @property
    def accuracies(self) -> list[float]:
        """At the end of each trial that released a model."""
        return [value for trial in self.trials if (value := last(trial, "accuracy")) is not None]

    @property
    def accuracy(self) -> float | None:
        """Their mean."""
        return fmean(self.accuracies) if self.accuracies else None

    @property
    def deviation(self) -> float:
        """Their standard deviation."""
        return pstdev(self.accuracies) if self.accuracies else 0.0

    @property
    def success(self) -> float | None:
        """Mean attack success, where the attack has one."""
        found = [value for trial in self.trials if (value := last(trial, SUCCESS)) is not None]
        return fmean(found) if found else None

    @property
    def seconds(self) -> float:
        """Of one trial, in the mean."""
        return fmean(trial.seconds for trial in self.trials)

    def standings(self, *, attackers: bool) -> Counter[Standing]:
        """How the replies of attackers, or of the others, fared over all trials."""
        return Counter(standing_of(reply, rule) for reply, rule in self._replies(attackers=attackers))

    def against(self, *, attackers: bool) -> int:
        """How many of their replies counted and point against the released step; in ``standings`` they are outvoted."""
        return sum(is_against(reply, rule) for reply, rule in self._replies(attackers=attackers))

    def _replies(self, *, attackers: bool) -> Iterator[tuple[ReplyRecord, str]]:
        """Each with the rule of its round."""
        for trial in self.trials:
            for record in trial.records:
                yield from (
                    (reply, record.rule) for reply in record.replies if (reply.client in self.attackers) is attackers
                )


def last(trial: Trial, metric: str) -> float | None:
    """A metric of the last released model."""
    released = [record for record in measured(trial) if record.outcome is Outcome.RELEASED]
    return released[-1].metrics.get(metric) if released else None


def measured(trial: Trial) -> tuple[RoundRecord, ...]:
    """The trial's records; in wrapped mode with the accuracy that honest clients found, for it is on no record."""
    return tuple(
        record.model_copy(update={"metrics": {"accuracy": found}})
        if not record.metrics and (found := _federated_accuracy(trial, record.round)) is not None
        else record
        for record in trial.records
    )


def _federated_accuracy(trial: Trial, round_: int) -> float | None:
    values = [
        float(value)
        for content in trial.evaluations.get(round_, [])
        for metrics in content.metric_records.values()
        for name, value in metrics.items()
        if "acc" in name.lower() and isinstance(value, int | float)
    ]
    return fmean(values) if values else None


@dataclass(frozen=True, slots=True)
class Simulation:
    """All that a command asks for."""

    training: Training
    attacks: Sequence[tuple[Band, ...]]
    """Each with all who attack at once; empty: nobody."""
    rules: Sequence[Rule]
    """Instead of the training's own."""
    alpha: float | None
    seeds: int
    rounds: int | None = None
    """Instead of what the training says, which a wrapped app reads from its own config."""

    def check(self) -> None:
        """Raise UnfitTrainingError, UnsoundPolicyError or TooManyAttackersError before anything is run."""
        app = self.training.spec.app
        if app.model is not None and app.evaluate is None:
            raise UnfitTrainingError("spec.app.evaluate", "a simulation measures the model by it; give one")
        if self.alpha is not None and ALPHA not in app.config:
            raise UnfitTrainingError(
                "--alpha", f"spec.app.config has no {ALPHA}: the app does not say that it knows it"
            )
        if self.rounds is not None and app.server_app is not None and ROUNDS not in app.config:
            raise UnfitTrainingError("--rounds", f"spec.app.config has no {ROUNDS}: the app's ServerApp says how many")
        clients = [client.name for client in self.training.spec.clients]
        for bands in self.attacks:
            assign(clients, bands)
        for defence in self.defences():
            needed = required_replies(defence.policy.aggregation)
            if needed > len(clients):
                raise UnfitTrainingError(
                    "--rule", f"{defence.label} needs {needed} replies, and the training has {len(clients)} clients"
                )

    def defences(self) -> list[Defence]:
        """No protection, then the training's rule or those asked for; raises UnsoundPolicyError."""
        bare = Defence("unprotected", unprotected_policy(self._policy(self.training)), protected=False)
        tried = [with_rule(self.training, rule) for rule in self.rules] or [self.training]
        policies = [self._policy(training) for training in tried]
        for policy in policies:
            required_replies(policy.aggregation)
        return [bare, *(Defence(_label(policy.aggregation), policy, protected=True) for policy in policies)]

    def _policy(self, training: Training) -> RuntimePolicy:
        keys = {client.name: public_key(client.name) for client in training.spec.clients}
        policy = runtime_policy(training, local_settings(), keys)
        own: dict[str, ConfigValue] = {}
        if self.alpha is not None:
            own[ALPHA] = min(self.alpha, INFINITE)
        if self.rounds is not None and self.training.spec.app.server_app is not None:
            own[ROUNDS] = self.rounds
        return _configured(policy, own)

    def run(self, now: datetime, tell: Callable[[str], None]) -> Iterator[Row]:
        """Each row as soon as it is there; raises what ``check``, the user's modules and NothingToPoisonError do."""
        node_config = {client.name: client.node_config for client in self.training.spec.clients}
        clients = [client.name for client in self.training.spec.clients]
        own = self._policy(self.training)
        with Laboratory.of(own, now) as laboratory:
            app = UserApp(own, node_config)
            for bands in ((), *self.attacks):
                attackers = assign(clients, bands)
                for defence in self.defences():
                    row = Row(defence, bands, attackers, ())
                    trials = []
                    for seed in range(self.seeds):
                        tell(f"{row.label} · seed {seed + 1} of {self.seeds}")
                        policy = _configured(defence.policy, {SEED: seed})
                        trials.append(app.trial(laboratory, policy, attackers, seed))
                    yield Row(defence, bands, attackers, tuple(trials))


def with_rule(training: Training, rule: Rule) -> Training:
    """The same training with another rule, and the same f where the rule tolerates any."""
    own = training.spec.aggregation
    if rule is own.rule:
        return training
    other = own.model_copy(update={"rule": rule, "beta": None, "select": None})
    if rule is Rule.FED_AVG:
        bare = Aggregation.model_validate({"rule": rule, "insecure": True})
        other = bare.model_copy(update={"max_norm": own.max_norm, "reject_norm": own.reject_norm})
    return replace(training, spec=training.spec.model_copy(update={"aggregation": other}))


def rule_name(policy: AggregationPolicy) -> str:
    """The rule, and what goes before it where the policy has such a field."""
    before = policy.model_dump(mode="json").get("pre_aggregation")
    return f"{before} + {policy.rule}" if before else policy.rule.value


def _label(policy: AggregationPolicy) -> str:
    """The same for a table's narrow column, in the papers' words."""
    return rule_name(policy).replace(PreAggregation.NEAREST_NEIGHBOR_MIXING, "NNM")


def _configured(policy: RuntimePolicy, config: Mapping[str, ConfigValue]) -> RuntimePolicy:
    app = policy.app.model_copy(update={"config": {**policy.app.config, **config}})
    return policy.model_copy(update={"app": app})
