"""The table of sensitivities against the rules themselves, as the aggregator runs them."""

import numpy as np
import pytest

from shieldwall.accounting import UnsoundPairError, epsilon_of, sensitivity_of, true_epsilon
from shieldwall.accounting.events import Release
from shieldwall.accounting.sensitivity import TABLE
from shieldwall.contract.policy import AggregationPolicy, PreAggregation, Rule

NNM, BUCKETING = PreAggregation.NEAREST_NEIGHBOR_MIXING, PreAggregation.BUCKETING


def policy(rule, **facts):
    return AggregationPolicy(**({"rule": rule, "max_norm": 1.0, "byzantine": 1} | facts))


SOUND = [
    (policy(Rule.CLIPPED_MEAN), 8, 2 / 8),
    (policy(Rule.FED_TRIMMED_AVG), 8, 2 / 6),
    (policy(Rule.FED_TRIMMED_AVG, byzantine=3), 10, 2 / 4),
    (policy(Rule.FED_TRIMMED_AVG, beta=0.3), 10, 2 / 4),
    (policy(Rule.FED_MEDIAN), 7, 2.0),
    (policy(Rule.FED_MEDIAN), 8, 1.0),
    (policy(Rule.CENTERED_CLIPPING, byzantine=0), 5, 6 / 5),
    (policy(Rule.CENTERED_CLIPPING), 10, 6 / 10),
    (policy(Rule.MULTI_KRUM, byzantine=2), 10, 2 * 3 / 8),
    (policy(Rule.MULTI_KRUM, byzantine=2, select=5), 10, 2.0),
    (policy(Rule.MULTI_KRUM, byzantine=2, select=2), 10, 2.0),
    (policy(Rule.FED_TRIMMED_AVG, pre_aggregation=BUCKETING), 10, 2 / (2 * 3)),
    (policy(Rule.FED_TRIMMED_AVG, pre_aggregation=BUCKETING), 9, 2 / (1 * 3)),
    (policy(Rule.FED_TRIMMED_AVG, pre_aggregation=BUCKETING, bucket_size=3), 12, 2 / (3 * 2)),
    (policy(Rule.FED_TRIMMED_AVG, pre_aggregation=BUCKETING, bucket_size=4), 14, 2 / (2 * 2)),
]


def named(case):
    return f"{case[0].rule.value}-{case[0].pre_aggregation or ''}{case[0].select or ''}-f{case[0].byzantine}-n{case[1]}"


@pytest.mark.parametrize(("rule", "n", "stated"), SOUND, ids=map(named, SOUND))
def test_an_adversary_moves_a_sound_rule_no_farther_than_is_stated_and_half_as_far_at_least(rule, n, stated, search):
    """Centred clipping is the loosest: from v = 0 its first step clips nothing, and half of the bound is found."""
    assert sensitivity_of(rule, n, search.CLIP) == pytest.approx(stated)
    found = search.worst_move(rule, n, d=2, seed=0)
    assert stated / 2 <= found <= stated * (1 + 1e-9)


def test_sensitivity_grows_with_the_clip_as_the_rules_results_do():
    for rule, n, stated in SOUND:
        assert sensitivity_of(rule, n, 3.0) == pytest.approx(3 * stated)


def clusters(ahead, behind):
    """Updates at both ends of a line, and the same when the first of them goes over to the others."""
    near = np.tile([1.0, 0.0], (ahead + behind, 1))
    near[ahead:] *= -1
    far = near.copy()
    far[0] *= -1
    return near, far


def in_buckets(search, n, ahead):
    """Clusters of which ``ahead`` buckets of two are at one end, the first client's own bucket among them."""
    order = np.random.default_rng(search.buckets(n)).permutation(n)
    near = np.tile([-1.0, 0.0], (n, 1))
    near[order[n - 2 * ahead :]] *= -1
    far = near.copy()
    far[0] *= -1
    return near, far


COUNTEREXAMPLES = {
    "FedAvg": lambda _: (policy(Rule.FED_AVG, byzantine=0), *clusters(1, 9), (10**9, *[1] * 9)),
    "Krum": lambda _: (policy(Rule.KRUM), *clusters(6, 5), None),
    "GeometricMedian": lambda _: (policy(Rule.GEOMETRIC_MEDIAN), *clusters(6, 5), None),
    "Bulyan": lambda _: (policy(Rule.BULYAN), *clusters(6, 5), None),
    "ClippedMean after NearestNeighborMixing": lambda _: (
        policy(Rule.CLIPPED_MEAN, byzantine=5, pre_aggregation=NNM),
        *clusters(6, 5),
        None,
    ),
    "FedMedian after Bucketing": lambda search: (
        policy(Rule.FED_MEDIAN, pre_aggregation=BUCKETING),
        *in_buckets(search, 14, 4),
        None,
    ),
    "Krum after Bucketing": lambda search: (
        policy(Rule.KRUM, pre_aggregation=BUCKETING),
        *in_buckets(search, 14, 4),
        None,
    ),
}
"""By name: a policy, two sets of updates that differ in one client, and the examples that clients claim.

By Krum, the geometric median and FedAvg the result goes from one end to the other: 2C, n times what it moves a mean.
"""
LEAST = {"FedAvg": 9.9, "Krum": 10.9, "GeometricMedian": 10.9, "Bulyan": 4.7, "FedMedian after Bucketing": 6.9,
         "Krum after Bucketing": 6.9, "ClippedMean after NearestNeighborMixing": 2.5}  # fmt: skip
"""How many times farther than a mean it moves."""


@pytest.mark.parametrize("name", COUNTEREXAMPLES)
def test_one_client_moves_a_refused_rule_far_beyond_what_noise_for_a_mean_covers(name, search):
    rule, one, other, examples = COUNTEREXAMPLES[name](search)
    n = len(one)
    assert np.count_nonzero((one != other).any(axis=1)) == 1
    assert np.linalg.norm([one, other], axis=2).max() <= search.CLIP
    moved = np.linalg.norm(search.result(rule, one, examples) - search.result(rule, other, examples))
    assert moved >= LEAST[name] * 2 * search.CLIP / n
    with pytest.raises(UnsoundPairError) as refused:
        sensitivity_of(rule, n, search.CLIP)
    assert str(refused.value).startswith(f"{name} ")
    # What is said to be the truth is no less than what was seen.
    assert refused.value.times * 2 * search.CLIP / n >= moved * (1 - 1e-9)
    seen = epsilon_of({Release(26.4 * 2 * search.CLIP / n / moved): 50}, 1e-5)
    assert 1.3 < seen <= true_epsilon(rule, n, 26.4, 50, 1e-5) * (1 + 1e-9)


def test_every_rule_that_is_refused_has_its_counterexample_and_every_other_one_was_searched():
    refused = {rule.value for rule, entry in TABLE.items() if entry.refused}
    assert refused <= set(COUNTEREXAMPLES)
    assert {rule.rule for rule, *_ in SOUND} == {rule for rule, entry in TABLE.items() if not entry.refused}
    assert set(TABLE) == set(Rule)


@pytest.mark.parametrize("rule", [Rule.FED_AVG, Rule.CLIPPED_MEAN, Rule.FED_TRIMMED_AVG, Rule.MULTI_KRUM])
def test_mixing_is_refused_before_any_rule(rule):
    with pytest.raises(UnsoundPairError, match="after NearestNeighborMixing chooses by comparing"):
        sensitivity_of(policy(rule, pre_aggregation=NNM), 11, 1.0)


def test_outside_its_theorem_a_rule_has_no_sensitivity():
    with pytest.raises((ValueError, ZeroDivisionError)):
        sensitivity_of(policy(Rule.FED_TRIMMED_AVG, byzantine=4), 8, 1.0)


def test_the_true_epsilon_of_a_sound_rule_counts_what_it_moves_more_than_a_mean():
    mean, trimmed = policy(Rule.CLIPPED_MEAN), policy(Rule.FED_TRIMMED_AVG, byzantine=2)
    assert true_epsilon(mean, 10, 26.38, 50, 1e-5) == pytest.approx(1.0, rel=1e-3)
    assert true_epsilon(trimmed, 10, 26.38, 50, 1e-5) == epsilon_of({Release(26.38 * 0.6): 50}, 1e-5)
