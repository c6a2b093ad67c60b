"""The same updates through ByzFL, written by other people from the same papers."""

import numpy as np
import pytest
from harness import byzfl

from shieldwall.contract.policy import AggregationPolicy, PreAggregation, Rule
from shieldwall.runtime.aggregation import Updates, aggregate
from shieldwall.runtime.aggregation.centered_clipping import centered_clipping_weights
from shieldwall.runtime.aggregation.geometry import geometry_of

SIZES = [(9, 1), (11, 2), (20, 4), (40, 9)]
D = 3000


@pytest.fixture(scope="module")
def theirs():
    return byzfl.load()


def cohort(n, seed=1):
    rng = np.random.default_rng(seed)
    return (rng.normal(size=(n, D)) + rng.normal(size=D)).astype(np.float32)


def ours(rows, rule, f, **fields):
    return aggregate(Updates.of(rows), AggregationPolicy(rule=rule, byzantine=f, **fields))


@pytest.mark.parametrize(("n", "f"), SIZES)
def test_coordinate_wise_rules(theirs, n, f):
    rows = cohort(n)
    np.testing.assert_allclose(ours(rows, Rule.FED_MEDIAN, f).delta, theirs.Median()(rows), atol=1e-6)
    np.testing.assert_allclose(ours(rows, Rule.FED_TRIMMED_AVG, f).delta, theirs.TrMean(f)(rows), atol=1e-6)


@pytest.mark.parametrize(("n", "f"), SIZES)
def test_krum_with_the_neighbours_of_the_paper(theirs, n, f):
    # ByzFL sums n - f - 1 neighbours where Blanchard et al. sum n - f - 2: its f + 1 is the paper's f.
    rows = cohort(n)
    np.testing.assert_array_equal(ours(rows, Rule.KRUM, f).delta, theirs.Krum(f + 1)(rows))
    many = ours(rows, Rule.MULTI_KRUM, f, select=n - f - 1)
    np.testing.assert_allclose(many.delta, theirs.MultiKrum(f + 1)(rows), atol=1e-6)


@pytest.mark.parametrize(("n", "f"), SIZES)
def test_nearest_neighbour_mixing_before_the_trimmed_mean(theirs, n, f):
    rows = cohort(n)
    mixed = ours(rows, Rule.FED_TRIMMED_AVG, f, pre_aggregation=PreAggregation.NEAREST_NEIGHBOR_MIXING).delta
    np.testing.assert_allclose(mixed, theirs.TrMean(f)(theirs.NNM(f)(rows)), atol=2e-6)


@pytest.mark.parametrize(("n", "f"), SIZES)
def test_the_geometric_median(theirs, n, f):
    rows = cohort(n).astype(np.float64)
    rows[:f] = 50.0
    settled = theirs.GeometricMedian(nu=1e-12, T=400)(rows)
    np.testing.assert_allclose(ours(rows, Rule.GEOMETRIC_MEDIAN, f).delta, settled, atol=1e-6)


@pytest.mark.parametrize("steps", [1, 2, 5])
def test_centred_clipping(theirs, steps):
    rows = cohort(12).astype(np.float64)
    rows[0] *= 100
    weights = centered_clipping_weights(geometry_of(list(rows)), 20.0, steps)
    np.testing.assert_allclose(weights @ rows, theirs.CenteredClipping(L=steps, tau=20.0)(rows), atol=1e-9)


def test_bucketing_is_the_mean_of_buckets(theirs):
    # Buckets of equal size have the mean that all updates have, whatever permutation each side draws.
    rows = cohort(12)
    policy = {"pre_aggregation": PreAggregation.BUCKETING, "bucket_size": 3, "max_norm": 1e6}
    plain = theirs.Average()(theirs.Bucketing(3)(rows))
    np.testing.assert_allclose(ours(rows, Rule.CLIPPED_MEAN, 1, **policy).delta, plain, atol=1e-5)
