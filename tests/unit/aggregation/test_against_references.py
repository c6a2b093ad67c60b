"""The blocked rules against plain definitions, and against Flower's where Flower's are right."""

import numpy as np
import pytest
from flwr.server.strategy import aggregate as flower

from shieldwall.contract.policy import AggregationPolicy, Rule
from shieldwall.runtime.aggregation import Updates, aggregate
from shieldwall.runtime.aggregation.vectors import BLOCK

SIZES = [1, BLOCK - 1, BLOCK, BLOCK + 1, 3 * BLOCK + 7]


def cohort(n, d, seed=1):
    return np.random.default_rng(seed).normal(size=(n, d)).astype(np.float32)


def as_flower(rows):
    return [([row], 1) for row in rows]


def policy(rule, f, **fields):
    return AggregationPolicy(rule=rule, byzantine=f, **fields)


def naive_krum(rows, f, m):
    wide = rows.astype(np.float64)
    scores = []
    for i, row in enumerate(wide):
        distances = sorted(((row - other) ** 2).sum() for j, other in enumerate(wide) if i != j)
        scores.append(sum(distances[: len(rows) - f - 2]))
    return sorted(sorted(range(len(rows)), key=lambda i: (scores[i], i))[:m])


@pytest.mark.parametrize("d", SIZES)
@pytest.mark.parametrize(("n", "f"), [(5, 2), (10, 2), (33, 7)])
def test_the_median_and_the_trimmed_mean_are_what_the_definitions_say(n, f, d):
    rows = cohort(n, d)
    median = aggregate(Updates.of(rows), policy(Rule.FED_MEDIAN, f)).delta
    np.testing.assert_allclose(median, np.median(rows, axis=0), rtol=1e-6)
    np.testing.assert_allclose(median, flower.aggregate_median(as_flower(rows))[0], rtol=1e-6)
    trimmed = aggregate(Updates.of(rows), policy(Rule.FED_TRIMMED_AVG, f)).delta
    np.testing.assert_allclose(trimmed, np.sort(rows.astype(float), axis=0)[f : n - f].mean(axis=0), atol=1e-6)


@pytest.mark.parametrize(("n", "beta"), [(10, 0.1), (10, 0.25), (20, 0.4), (7, 0.0)])
def test_beta_means_what_it_means_in_flower(n, beta):
    rows = cohort(n, 1000)
    ours = aggregate(Updates.of(rows), policy(Rule.FED_TRIMMED_AVG, 0, beta=beta)).delta
    np.testing.assert_allclose(ours, flower.aggregate_trimmed_avg(as_flower(rows), beta)[0], atol=1e-6)


def test_fed_avg_is_flowers():
    rows, examples = cohort(6, BLOCK + 3), [10, 20, 30, 5, 1, 100]
    ours = aggregate(Updates.of(rows, examples), policy(Rule.FED_AVG, 0)).delta
    theirs = flower.aggregate([([row], count) for row, count in zip(rows, examples, strict=True)])[0]
    np.testing.assert_allclose(ours, theirs, atol=1e-6)


@pytest.mark.parametrize("d", SIZES)
@pytest.mark.parametrize(("n", "f"), [(7, 2), (12, 4)])
def test_krum_selects_what_the_definition_selects(n, f, d):
    rows = cohort(n, d, seed=d)
    one = aggregate(Updates.of(rows), policy(Rule.KRUM, f))
    assert list(one.selected) == naive_krum(rows, f, 1)
    assert one.delta.tobytes() == rows[one.selected[0]].tobytes()
    np.testing.assert_array_equal(one.delta, flower.aggregate_krum(as_flower(rows), f, 0)[0])
    many = aggregate(Updates.of(rows), policy(Rule.MULTI_KRUM, f))
    assert list(many.selected) == naive_krum(rows, f, n - f)
    np.testing.assert_allclose(many.delta, flower.aggregate_krum(as_flower(rows), f, n - f)[0], atol=1e-6)


@pytest.mark.parametrize("d", [7, BLOCK + 1])
@pytest.mark.parametrize(("n", "f"), [(7, 1), (11, 2), (20, 4), (33, 7)])
def test_bulyan_is_flowers(n, f, d):
    rows = cohort(n, d, seed=d)
    theirs = flower.aggregate_bulyan(as_flower(rows), f, flower.aggregate_krum, to_keep=0)[0]
    np.testing.assert_allclose(aggregate(Updates.of(rows), policy(Rule.BULYAN, f)).delta, theirs, atol=1e-6)


def expanded_distances(weights):
    squares = np.einsum("ij,ij->i", weights, weights)
    return squares[:, None] + squares[None, :] - 2 * (weights @ weights.T)


def test_late_in_training_no_attacker_is_selected_where_float32_expansion_admits_some():
    # Updates are 1e-4 of the weights; ten of thirty clients in each of three rounds send three times the honest size.
    rng = np.random.default_rng(7)
    n, f, d = 30, 10, 20_000
    admitted = by_expansion = 0
    for _ in range(3):
        base = rng.normal(size=d).astype(np.float32)
        sizes = np.where(np.arange(n) < f, 3e-4, 1e-4)
        local = (base + sizes[:, None] * rng.normal(size=(n, d))).astype(np.float32)
        chosen = aggregate(Updates.of(local - base), policy(Rule.MULTI_KRUM, f)).selected
        admitted += sum(position < f for position in chosen)
        expanded = expanded_distances(local)
        np.fill_diagonal(expanded, np.inf)
        scores = np.sort(expanded, axis=1)[:, : n - f - 2].sum(axis=1)
        by_expansion += int((np.argsort(scores)[: n - f] < f).sum())
    assert admitted == 0
    assert by_expansion > 0
