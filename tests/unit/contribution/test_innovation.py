"""Innovation against its definition, and each kind of free-rider with its defence in place and taken out."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shieldwall.contract.records import Flag
from shieldwall.runtime.aggregation.gram import cosines, inner_products, squared_distances
from shieldwall.runtime.contribution.evidence import agreements, near_duplicates, weigh
from shieldwall.runtime.contribution.innovation import RIDGE, floor_of, innovation

N, D, K = 12, 5000, 6


def round_of(seed=0, n=N, shared=8, noise=0.5):
    """Honest updates: mixtures of a few directions that all of them find, and noise of their own; and old deltas."""
    random = np.random.default_rng(seed)
    directions = random.normal(size=(shared, D)) / np.sqrt(D)
    updates = random.normal(size=(n, shared)) @ directions + noise * random.normal(size=(n, D)) / np.sqrt(D)
    deltas = random.normal(size=(K, D)) / np.sqrt(D)
    return updates.astype(np.float32), deltas.astype(np.float32), random


def scores(updates, deltas=(), accomplices=0, same=0.9995):
    rows = [*updates, *deltas]
    gram = inner_products(rows)
    duplicates = near_duplicates(cosines(gram)[: len(updates), : len(updates)], same)
    return innovation(gram, len(updates), duplicates, accomplices)


def r_squared(target, others, deltas):
    """By least squares on the vectors themselves, what of it lies outside of the deltas."""
    if len(deltas):
        basis, _ = np.linalg.qr(np.asarray(deltas, np.float64).T)
        target, others = target - basis @ (basis.T @ target), others - (others @ basis) @ basis.T
    fitted = others.T @ np.linalg.lstsq(others.T, target, rcond=None)[0]
    return float(fitted @ fitted / (target @ target))


@pytest.mark.parametrize("deltas", [0, K])
def test_innovation_is_the_r_squared_of_a_least_squares_fit(deltas):
    updates, old, _ = round_of()
    old = old[:deltas]
    wide = updates.astype(np.float64)
    expected = [r_squared(wide[i], np.delete(wide, i, axis=0), old) for i in range(N)]
    np.testing.assert_allclose(scores(updates, old), expected, atol=20 * RIDGE)


def test_accomplices_are_those_that_explain_the_most():
    updates, _, random = round_of(noise=2.0)
    updates[1] = updates[0] + 0.3 * np.linalg.norm(updates[0]) * random.normal(size=D) / np.sqrt(D)
    wide = updates.astype(np.float64)
    expected = min(r_squared(wide[0], np.delete(wide, (0, j), axis=0), []) for j in range(1, N))
    assert scores(updates, accomplices=1)[0] == pytest.approx(expected, abs=20 * RIDGE)
    assert expected < 0.3
    assert scores(updates)[0] > 0.8


@given(seed=st.integers(0, 2**32 - 1), scale=st.floats(1e-6, 1e6), order=st.permutations(range(6)))
@settings(max_examples=25, deadline=None)
def test_scores_know_neither_lengths_nor_order(seed, scale, order):
    updates, deltas, _ = round_of(seed, n=6)
    plain = scores(updates, deltas, 1)
    assert ((plain >= 0) & (plain <= 1)).all()
    np.testing.assert_allclose(scores(updates * np.float32(scale), deltas, 1), plain, atol=1e-4)
    np.testing.assert_allclose(scores(updates[list(order)], deltas, 1), plain[list(order)], atol=1e-9)


def test_noise_stays_below_the_floor_and_honest_updates_above():
    for seed in range(20):
        updates, deltas, random = round_of(seed)
        updates[0] = random.normal(size=D)
        found = scores(updates, deltas, accomplices=2)
        assert found[0] < floor_of(N, K, D) < found[1:].min()


def test_what_earlier_rounds_did_is_no_innovation_unless_they_are_forgotten():
    updates, deltas, _ = round_of()
    deltas[0] = updates[3:].mean(axis=0)  # what the others still find: a replay looks like the best of all
    updates[0] = 1.7 * deltas[0]
    assert scores(updates, deltas)[0] == 0.0
    assert scores(updates)[0] > 0.9


def test_colluders_do_not_vouch_for_each_other():
    updates, deltas, random = round_of()
    common = random.normal(size=D)
    for i in range(3):
        updates[i] = common + 0.3 * random.normal(size=D)
    floor = floor_of(N, K, D)
    assert (scores(updates, deltas, accomplices=2)[:3] < floor).all()
    assert (scores(updates, deltas, accomplices=0)[:3] > 0.8).all()  # the defence taken out


def test_a_near_duplicate_does_not_vouch_for_its_copy():
    updates, deltas, random = round_of()
    updates[0] = updates[1] = random.normal(size=D)
    assert (scores(updates, deltas)[:2] < floor_of(N, K, D)).all()
    assert (scores(updates, deltas, same=2.0)[:2] > 0.9).all()


def test_with_too_few_parameters_nothing_is_told():
    assert floor_of(10, 10, 200) is None
    assert floor_of(10, 10, 8) is None
    updates = np.random.default_rng(0).normal(size=(10, 150))
    found = weigh(inner_products(list(updates)), 10, 150)
    assert found.floor is None
    assert {each.innovation for each in found.updates} == {None}


def flags(updates, deltas=(), **options):
    found = weigh(inner_products([*updates, *deltas]), len(updates), D, **options)
    return [each.flags for each in found.updates]


def test_each_flag_is_for_what_it_says():
    updates, deltas, _ = round_of(1)
    updates[0] = 0.001 * updates[0]
    updates[1] = updates[2] + 1e-4 * updates[3]
    updates[4] = 2 * deltas[3]
    found = flags(updates, deltas, repeats=[i == 5 for i in range(N)])
    assert found[0] == (Flag.TINY,)
    assert found[1] == found[2] == (Flag.COPY,)
    assert found[4] == (Flag.REPLAY,)
    assert found[5] == (Flag.REPEAT,)
    assert set(found[3:4] + found[6:]) == {()}


def test_who_points_away_from_all_others_is_opposed():
    random = np.random.default_rng(3)
    updates = random.normal(size=D) + random.normal(size=(N, D))
    updates[0] *= -50  # however large: it is not the others' voice
    assert flags(updates) == [(Flag.OPPOSED,), *[()] * (N - 1)]


def test_agreement_is_the_cosine_with_the_others_directions():
    updates, _, _ = round_of(4)
    units = updates / np.linalg.norm(updates, axis=1, keepdims=True)
    others = units[1:].sum(axis=0)
    expected = units[0] @ others / np.linalg.norm(others)
    assert agreements(cosines(inner_products(list(updates))))[0] == pytest.approx(expected, rel=1e-4)


def test_close_agreement_is_no_copy():
    random = np.random.default_rng(5)
    updates = random.normal(size=D) + 0.005 * random.normal(size=(N, D))  # cosines of 0.99997
    assert set(flags(updates)) == {()}
    updates[1] = updates[0]
    assert flags(updates)[:3] == [(Flag.COPY,), (Flag.COPY,), ()]


def test_where_all_send_the_same_but_for_rounding_nobody_is_a_copy():
    steps = np.float32(0.01) * np.arange(1, N + 1, dtype=np.float32)[:, None]
    base = np.random.default_rng(8).normal(size=D).astype(np.float32)
    assert set(flags((base + steps) - base)) == {()}


@pytest.mark.parametrize("value", [0.0, 1e-300, 1e30, np.finfo(np.float64).max])
def test_no_value_makes_a_score_that_json_cannot_carry(value):
    updates = round_of(6)[0].astype(np.float64)
    updates[0] = value
    found = weigh(inner_products(list(updates)), N, D)
    numbers = [(each.innovation, each.likeness, each.agreement) for each in found.updates]
    assert all(number is None or np.isfinite(number) for row in numbers for number in row)


def test_gram_cosines_and_distances_are_those_of_the_vectors():
    updates, _, _ = round_of(7, n=4)
    wide = updates.astype(np.float64)
    gram = inner_products(list(updates))
    np.testing.assert_allclose(gram, wide @ wide.T, rtol=1e-12)
    np.testing.assert_allclose(squared_distances(gram)[0, 1], ((wide[0] - wide[1]) ** 2).sum(), rtol=1e-9)
    np.testing.assert_allclose(np.diag(cosines(gram)), 1.0)
    assert cosines(inner_products([np.zeros(3), np.ones(3)]))[0, 1] == 0.0
