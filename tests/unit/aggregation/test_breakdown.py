"""The breakdown point, exactly: f liars never move a rule beyond its bound, whatever they send; f + 1 do."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from shieldwall.contract.policy import AggregationPolicy, PreAggregation, Rule
from shieldwall.contract.theorem import replies_needed
from shieldwall.runtime.aggregation import Updates, aggregate

D = 4
FAR = 1e9
NNM, BUCKETING = PreAggregation.NEAREST_NEIGHBOR_MIXING, PreAggregation.BUCKETING
LIE = st.floats(-(2.0**40), 2.0**40, width=32)
CASES = [
    (Rule.FED_MEDIAN, None),
    (Rule.FED_TRIMMED_AVG, None),
    (Rule.KRUM, None),
    (Rule.MULTI_KRUM, None),
    (Rule.BULYAN, None),
    (Rule.GEOMETRIC_MEDIAN, None),
    (Rule.FED_MEDIAN, NNM),
    (Rule.FED_TRIMMED_AVG, NNM),
    (Rule.KRUM, NNM),
    (Rule.BULYAN, NNM),
    (Rule.GEOMETRIC_MEDIAN, NNM),
    (Rule.FED_MEDIAN, BUCKETING),
    (Rule.FED_TRIMMED_AVG, BUCKETING),
    (Rule.KRUM, BUCKETING),
    (Rule.GEOMETRIC_MEDIAN, BUCKETING),
]
BOUND = 40.0
"""Of the norm, when the honest are within 1 of zero and as few as the theorem allows: no rule's constant is larger."""


def policy(rule, f, before=None, **fields):
    return AggregationPolicy(rule=rule, byzantine=f, pre_aggregation=before, **fields)


def length(rows, *arguments, seed=0):
    return float(np.linalg.norm(aggregate(Updates.of(rows), policy(*arguments), seed).delta.astype(float)))


@pytest.mark.parametrize(("rule", "before"), CASES)
@pytest.mark.parametrize("f", [1, 2])
@settings(max_examples=50)
@given(data=st.data(), seed=st.integers(0, 2**32))
def test_f_liars_never_move_it_beyond_the_bound(rule, before, f, data, seed):
    n = replies_needed(rule, f, before)
    honest = np.random.default_rng(seed).normal(size=(n - f, D))
    honest /= np.maximum(1, np.linalg.norm(honest, axis=1, keepdims=True))
    lies = data.draw(arrays(np.float32, (f, D), elements=LIE))
    places = data.draw(st.permutations(range(n)))
    rows = np.concatenate([honest.astype(np.float32), lies])[places]
    assert length(rows, rule, f, before, seed=seed) <= BOUND


@pytest.mark.parametrize(("rule", "before"), CASES)
@pytest.mark.parametrize("f", [1, 2])
def test_all_but_f_liars_move_it_anywhere(rule, before, f):
    n = replies_needed(rule, f, before)
    rng = np.random.default_rng(1)
    liars = n - f
    rows = np.concatenate([rng.normal(size=(n - liars, D)), FAR + rng.normal(size=(liars, D)) / 1e3])
    assert length(rows, rule, f, before) > FAR / 3


@pytest.mark.parametrize(
    ("rule", "lies"),
    [
        # n = 2f + 1, and f + 1 lies.
        (Rule.FED_MEDIAN, [FAR] * 3),
        (Rule.FED_TRIMMED_AVG, [FAR] * 3),
        (Rule.GEOMETRIC_MEDIAN, [FAR] * 3),
    ],
)
def test_one_liar_more_than_f_breaks_those_that_hold_to_the_half(rule, lies):
    rows = np.concatenate([np.zeros((2, 1)), np.array(lies)[:, None]])
    assert length(rows, rule, 2) > FAR / 2
    assert length(np.concatenate([np.zeros((3, 1)), np.array(lies[:2])[:, None]]), rule, 2) <= 1


@pytest.mark.parametrize("rule", [Rule.FED_MEDIAN, Rule.FED_TRIMMED_AVG])
def test_one_liar_more_than_f_fills_a_majority_of_the_buckets(rule):
    # s·f < n/2 holds for f = 1 of 5; two liars in two of three buckets do not let the median be.
    rows = np.array([[0.0], [0.0], [0.0], [FAR], [FAR]])
    moved = [length(rows, rule, 1, BUCKETING, seed=seed) for seed in range(20)]
    assert max(moved) >= FAR / 2
    rows[3] = 0
    assert all(length(rows, rule, 1, BUCKETING, seed=seed) == 0 for seed in range(20))


def test_f_plus_1_liars_who_agree_are_chosen_by_krum_and_f_are_not():
    # n = 2f + 3 = 7: Krum sums three neighbours, so three who agree have one honest among theirs; four have none.
    honest = np.linspace(-1, 1, 4)[:, None] * np.ones((1, D))
    three = np.concatenate([honest, np.full((3, D), FAR)])
    assert length(three, Rule.KRUM, 2) <= 2
    four = np.concatenate([honest[:3], np.full((4, D), FAR)])
    assert length(four, Rule.KRUM, 2) > FAR / 2


@given(lies=arrays(np.float32, (1, D), elements=LIE), seed=st.integers(0, 2**32))
def test_a_liar_moves_centred_clipping_by_a_bounded_step(lies, seed):
    honest = np.random.default_rng(seed).normal(size=(9, D)).astype(np.float32)
    radius, steps, n = 0.5, 3, 10
    rule = AggregationPolicy(rule=Rule.CENTERED_CLIPPING, byzantine=1, max_norm=radius)
    with_lie = aggregate(Updates.of(np.concatenate([honest, lies])), rule).delta.astype(float)
    with_zero = aggregate(Updates.of(np.concatenate([honest, np.zeros((1, D), np.float32)])), rule).delta.astype(float)
    # Each step is a 1-Lipschitz map of v, for clipping is, and the lie moves it by 2·radius/n at most.
    assert np.linalg.norm(with_lie - with_zero) <= steps * 2 * radius / n * (1 + 1e-5)


def test_without_its_clipping_the_same_liar_moves_the_mean_anywhere():
    rows = np.concatenate([np.zeros((9, D)), np.full((1, D), FAR)])
    assert length(rows, Rule.FED_AVG, 0) > FAR / 10


@given(
    honest=arrays(np.float32, (9, D), elements=st.floats(-1, 1, width=32)),
    lies=arrays(np.float32, (2, D), elements=LIE),
    places=st.permutations(range(11)),
)
def test_bulyan_keeps_each_coordinate_near_honest_values(honest, lies, places):
    # Proposition 2: of θ = n - 2f chosen at most f are lies, and each of the θ - 2f averaged values is no further from
    # the median, which lies between honest values, than some honest one.
    rows = np.concatenate([honest, lies])[places]
    delta = aggregate(Updates.of(rows), policy(Rule.BULYAN, 2)).delta
    span = honest.max(axis=0) - honest.min(axis=0)
    assert (delta <= honest.max(axis=0) + span + 1e-6).all()
    assert (delta >= honest.min(axis=0) - span - 1e-6).all()
