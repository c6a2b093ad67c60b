"""Audits of the pods' own mechanisms, and what they find where a part of one is taken out."""

import numpy as np
import pytest

from shieldwall.accounting import sensitivity_of
from shieldwall.contract.policy import AggregationPolicy, Rule
from shieldwall.contract.privacy import PrivacyMode
from shieldwall.lab.privacy import canaries
from shieldwall.lab.privacy.canaries import audit, bystanders
from shieldwall.runtime.aggregation import Updates, aggregate
from shieldwall.runtime.privacy import central, dp_sgd
from shieldwall.runtime.privacy import client as private_client

pytestmark = pytest.mark.usefixtures("laboratory")


@pytest.fixture(autouse=True)
def _few(monkeypatch):
    """As few slots as refute ε with ease: more are for closer bounds."""
    fewest = {PrivacyMode.CLIENT_LEVEL_LOCAL: 256}
    few = {mode: (scores, fewest.get(mode, 1024)) for mode, (scores, _) in canaries._SCORES.items()}
    monkeypatch.setattr(canaries, "_SCORES", few)


@pytest.mark.parametrize("mode", list(PrivacyMode))
@pytest.mark.parametrize("epsilon", [0.5, 2.0])
def test_what_is_proved_is_below_what_is_accounted_and_above_it_once_the_noise_is_off(policies, mode, epsilon):
    policy = policies.of(mode, epsilon=epsilon)
    for seed in range(3):
        assert audit(policy, policy.privacy, seed).holds
        silent = audit(policy, policy.privacy, seed, silent=True)
        assert not silent.holds
        assert silent.bound.epsilon > 1.2 * epsilon


def test_what_is_accounted_is_what_the_rounds_cost(policies):
    policy = policies.of(PrivacyMode.CLIENT_LEVEL_CENTRAL)
    assert audit(policy, policy.privacy, 0).accounted.epsilon == pytest.approx(1.0, abs=2e-3)


def test_a_clip_that_does_nothing_is_found_under_record_level(policies, monkeypatch):
    monkeypatch.setattr(dp_sgd, "_factors", lambda _, __, size: np.ones(size))
    policy = policies.of(PrivacyMode.RECORD_LEVEL)
    assert not audit(policy, policy.privacy, 0).holds


def test_a_clip_that_does_nothing_is_found_under_client_level_local(policies, monkeypatch):
    monkeypatch.setattr(private_client, "clip", lambda _, __: None)
    policy = policies.of(PrivacyMode.CLIENT_LEVEL_LOCAL)
    assert not audit(policy, policy.privacy, 0).holds


@pytest.mark.parametrize("rule", [Rule.CLIPPED_MEAN, Rule.FED_MEDIAN])
def test_noise_for_another_rule_is_found_under_client_level_central(policies, monkeypatch, rule):
    """The median has n or n/2 times the mean's sensitivity; noise for the mean does not cover it."""
    monkeypatch.setattr(central, "sensitivity_of", lambda _, n, clip: 2 * clip / n)
    policy = policies.of(PrivacyMode.CLIENT_LEVEL_CENTRAL, clients=12, epsilon=0.5, rule=rule)
    assert audit(policy, policy.privacy, 0).holds is (rule is Rule.CLIPPED_MEAN)


@pytest.mark.parametrize(
    ("policy", "n"),
    [
        (AggregationPolicy(rule=Rule.CLIPPED_MEAN), 7),
        (AggregationPolicy(rule=Rule.FED_MEDIAN), 7),
        (AggregationPolicy(rule=Rule.FED_MEDIAN), 8),
        (AggregationPolicy(rule=Rule.FED_TRIMMED_AVG, byzantine=2), 9),
        (AggregationPolicy(rule=Rule.FED_TRIMMED_AVG, beta=0.3), 10),
    ],
)
def test_others_stand_where_a_canary_moves_the_rule_by_its_whole_sensitivity(policy, n):
    clip = 2.0
    clipping = policy.model_copy(update={"max_norm": clip})
    ends = [
        aggregate(Updates.of([np.array([value]) for value in (canary, *bystanders(policy, n, clip))]), clipping).delta[
            0
        ]
        for canary in (-100.0, 100.0)
    ]
    assert ends[1] - ends[0] == pytest.approx(sensitivity_of(policy, n, clip))
