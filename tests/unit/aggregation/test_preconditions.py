"""Outside its theorem a rule refuses; it never bends."""

import numpy as np
import pytest

from shieldwall.contract.policy import AggregationPolicy, PreAggregation, Rule
from shieldwall.runtime.aggregation import (
    TooFewUpdatesError,
    UnsoundPolicyError,
    Updates,
    aggregate,
    required_replies,
)

NNM, BUCKETING = PreAggregation.NEAREST_NEIGHBOR_MIXING, PreAggregation.BUCKETING
NEEDED = [
    (AggregationPolicy(rule=Rule.FED_AVG), 1),
    (AggregationPolicy(rule=Rule.CLIPPED_MEAN, byzantine=4, max_norm=1.0), 9),
    (AggregationPolicy(rule=Rule.FED_MEDIAN, byzantine=2), 5),
    (AggregationPolicy(rule=Rule.FED_TRIMMED_AVG, byzantine=3), 7),
    (AggregationPolicy(rule=Rule.FED_TRIMMED_AVG, byzantine=1, beta=0.49), 3),
    (AggregationPolicy(rule=Rule.KRUM, byzantine=0), 3),
    (AggregationPolicy(rule=Rule.KRUM, byzantine=2), 7),
    (AggregationPolicy(rule=Rule.MULTI_KRUM, byzantine=2), 7),
    (AggregationPolicy(rule=Rule.MULTI_KRUM, byzantine=2, select=9), 11),
    (AggregationPolicy(rule=Rule.BULYAN, byzantine=0), 3),
    (AggregationPolicy(rule=Rule.BULYAN, byzantine=2), 11),
    (AggregationPolicy(rule=Rule.GEOMETRIC_MEDIAN, byzantine=3), 7),
    (AggregationPolicy(rule=Rule.CENTERED_CLIPPING, byzantine=1, max_norm=9.0), 10),
    (AggregationPolicy(rule=Rule.CENTERED_CLIPPING, max_norm=9.0), 1),
    (AggregationPolicy(rule=Rule.FED_TRIMMED_AVG, byzantine=2, pre_aggregation=NNM), 5),
    (AggregationPolicy(rule=Rule.KRUM, byzantine=2, pre_aggregation=NNM), 7),
    (AggregationPolicy(rule=Rule.CLIPPED_MEAN, byzantine=2, max_norm=9.0, pre_aggregation=NNM), 5),
    # s·f < n/2 where the rule needs n > 2f.
    (AggregationPolicy(rule=Rule.FED_TRIMMED_AVG, byzantine=2, pre_aggregation=BUCKETING), 9),
    (AggregationPolicy(rule=Rule.FED_MEDIAN, byzantine=2, pre_aggregation=BUCKETING, bucket_size=3), 13),
    (AggregationPolicy(rule=Rule.KRUM, byzantine=2, pre_aggregation=BUCKETING), 13),
    (AggregationPolicy(rule=Rule.MULTI_KRUM, byzantine=1, select=5, pre_aggregation=BUCKETING), 11),
    (AggregationPolicy(rule=Rule.CLIPPED_MEAN, byzantine=2, max_norm=9.0, pre_aggregation=BUCKETING), 9),
]


def ones(n):
    return Updates.of(np.ones((n, 3), np.float32))


@pytest.mark.parametrize(("policy", "needed"), NEEDED)
def test_a_rule_runs_from_its_number_of_updates_on_and_refuses_below(policy, needed):
    assert required_replies(policy) == needed
    np.testing.assert_allclose(aggregate(ones(needed), policy).delta, 1.0, atol=0.5)
    with pytest.raises(TooFewUpdatesError) as refusal:
        aggregate(ones(needed - 1), policy)
    error = refusal.value
    assert (error.rule, error.n, error.f, error.needed) == (policy.rule, needed - 1, policy.byzantine, needed)
    assert error.source.split(":")[-1] in str(error)


def test_the_trimmed_mean_keeps_a_value_for_every_beta_and_number_of_updates():
    for n in range(1, 60):
        for beta in (0.1, 0.25, 0.49, 0.4999999):
            rule = AggregationPolicy(rule=Rule.FED_TRIMMED_AVG, beta=beta)
            assert aggregate(ones(n), rule).delta.tolist() == [1, 1, 1]


def test_fed_avg_may_not_be_declared_to_tolerate_liars():
    with pytest.raises(UnsoundPolicyError, match="tolerates no Byzantine client"):
        required_replies(AggregationPolicy(rule=Rule.FED_AVG, byzantine=1))


def test_the_clipped_mean_needs_a_norm_to_clip_to():
    with pytest.raises(UnsoundPolicyError, match="maxNorm"):
        aggregate(ones(5), AggregationPolicy(rule=Rule.CLIPPED_MEAN))


def test_centred_clipping_needs_its_radius():
    with pytest.raises(UnsoundPolicyError, match="maxNorm"):
        aggregate(ones(10), AggregationPolicy(rule=Rule.CENTERED_CLIPPING, byzantine=1))


@pytest.mark.parametrize("before", PreAggregation)
def test_nothing_comes_before_fed_avg(before):
    with pytest.raises(UnsoundPolicyError, match=before):
        aggregate(ones(10), AggregationPolicy(rule=Rule.FED_AVG, pre_aggregation=before))


def test_fed_avg_of_clients_without_examples_is_no_mean():
    with pytest.raises(TooFewUpdatesError) as refusal:
        aggregate(Updates.of(np.ones((2, 3)), [0, 0]), AggregationPolicy(rule=Rule.FED_AVG))
    assert refusal.value.n == 0


@pytest.mark.parametrize(
    "vectors",
    [
        [np.ones(3), np.ones(4)],
        [np.ones(3), np.ones(3, np.float32)],
        [np.ones((3, 1))],
        [np.ones(3, np.int64)],
        [np.ones(3), np.array([1, np.nan, 1])],
        [np.array([1, np.inf, 1])],
    ],
)
def test_vectors_that_no_rule_is_defined_for_are_refused(vectors):
    with pytest.raises(ValueError, match="update"):
        Updates.of(vectors)


def test_each_update_needs_its_number_of_examples():
    with pytest.raises(ValueError, match="2 updates with 1"):
        Updates.of(np.ones((2, 3)), [1])
