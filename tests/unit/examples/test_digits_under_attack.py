"""What the demonstration claims, in this process: the app's own training, the runtime's own aggregation."""

import numpy as np
import pytest
from ruamel.yaml import YAML

from shieldwall.contract.policy import AggregationPolicy, Rule
from shieldwall.control.api.parse import parse_training
from shieldwall.runtime.admission import Update, check_update
from shieldwall.runtime.aggregation import Updates, aggregate, aggregate_counters
from shieldwall.runtime.model import Model, step

SIGN_FLIP_SCALE = 10.0
"""The attackers send base − 10·(local − base), as ``shieldwall run --attack sign-flip`` has them do."""
ATTACKERS = frozenset({8, 9})
FED_AVG = AggregationPolicy(rule=Rule.FED_AVG, reject_norm=1e30)
"""Without any bound, as the demonstration's baseline."""
ROBUST = AggregationPolicy(rule=Rule.FED_TRIMMED_AVG, byzantine=2)
SEEDS = range(5)


@pytest.fixture(scope="module")
def task(example):
    return example("digits.task")


@pytest.fixture(scope="module")
def spec(examples_directory):
    return parse_training(YAML(typ="safe").load(examples_directory / "digits" / "training.yaml")).spec


@pytest.fixture(scope="module")
def final_accuracy(task, spec):
    config = dict(spec.app.config)
    data = [task.load_data(i, len(spec.clients), config["alpha"])[:2] for i in range(len(spec.clients))]

    def run(policy, attackers, seed):
        rng = np.random.default_rng(seed)
        model = Model.of(task.initial_arrays(config))
        for _ in range(spec.rounds.count):
            admitted = []
            for client, (images, labels) in enumerate(data):
                local, _ = task.train(model.arrays, images, labels, config, rng)
                sent = flipped(model, local) if client in attackers else local
                admitted.append(check_update(sent, model, policy.reject_norm))
            assert all(isinstance(update, Update) for update in admitted)  # the attack passes every check on its own
            updates = Updates.of([update.vector for update in admitted], [len(labels) for _, labels in data])
            counters = aggregate_counters([update.counters for update in admitted])
            model = step(model, aggregate(updates, policy).delta, counters)
        return 100 * task.evaluate(model.arrays, config)["accuracy"]

    return run


def flipped(base, local):
    return {
        name: (base.arrays[name] - SIGN_FLIP_SCALE * (array - base.arrays[name])).astype(array.dtype)
        for name, array in local.items()
    }


@pytest.mark.parametrize("seed", SEEDS)
def test_fed_avg_collapses_under_two_sign_flippers(final_accuracy, seed):
    assert final_accuracy(FED_AVG, ATTACKERS, seed) < 40


@pytest.mark.parametrize("seed", SEEDS)
def test_the_trimmed_mean_holds_within_three_points(final_accuracy, seed):
    calm, attacked = (final_accuracy(ROBUST, attackers, seed) for attackers in (frozenset(), ATTACKERS))
    assert min(calm, attacked) >= 90
    assert calm - attacked <= 3


def test_without_attackers_the_trimmed_mean_costs_little(final_accuracy):
    assert final_accuracy(FED_AVG, frozenset(), 0) - final_accuracy(ROBUST, frozenset(), 0) <= 3
