"""Outliers with their reason, and what the same update would do with the check taken out."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shieldwall.contract.policy import ValidationPolicy
from shieldwall.contract.records import Fate
from shieldwall.runtime.aggregation.gram import inner_products
from shieldwall.runtime.validation.outliers import FEWEST, Past, judge, relative
from shieldwall.runtime.validation.robust import z_score, z_scores

N, D = 12, 400
POLICY = ValidationPolicy()
STEADY = Past(tuple(0.02 * (number % 3) for number in range(20)), tuple(0.02 * (number % 3) for number in range(20)))


def updates(seed=0, n=N):
    random = np.random.default_rng(seed)
    return random.normal(size=D) + random.uniform(0.7, 1.4, (n, 1)) * random.normal(size=(n, D))


def fates(vectors, policy=POLICY, pasts=None, spare=N, draw=b"draw"):
    judged = judge(inner_products(list(vectors)), policy, pasts or [Past()] * len(vectors), spare, draw)
    return [one.refusal.fate if one.refusal else None for one in judged]


def test_honest_updates_of_different_sizes_all_take_part():
    for seed in range(50):
        assert set(fates(updates(seed))) == {None}


def test_a_boosted_update_is_refused_with_its_number_and_the_bound():
    vectors = updates()
    vectors[3] *= -10
    judged = judge(inner_products(list(vectors)), POLICY, [Past()] * N, N, b"draw")
    assert [one.refusal is not None for one in judged] == [i == 3 for i in range(N)]
    assert judged[3].refusal.fate in {Fate.NORM_OUTLIER, Fate.DISTANCE_OUTLIER}
    assert "the policy's bound is 8" in judged[3].refusal.detail
    assert judged[3].norm_z > 8
    lenient = ValidationPolicy(norm_z=1e5, distance_z=1e5)
    assert fates(vectors, lenient)[3] is None  # each threshold is what refuses
    assert fates(vectors, ValidationPolicy(distance_z=1e5))[3] is Fate.NORM_OUTLIER
    assert fates(vectors, ValidationPolicy(norm_z=1e5))[3] is Fate.DISTANCE_OUTLIER


def test_an_update_as_long_as_the_others_that_lies_elsewhere_is_a_distance_outlier():
    random = np.random.default_rng(1)
    vectors = random.normal(size=D) + 0.05 * random.normal(size=(N, D))
    vectors[0] = -vectors[0]
    assert fates(vectors) == [Fate.DISTANCE_OUTLIER, *[None] * (N - 1)]


def test_a_small_update_harms_nobody():
    vectors = updates()
    vectors[0] *= 1e-9
    vectors[1] = 0
    assert set(fates(vectors)) == {None}


def test_what_is_usual_for_the_others_may_be_an_outlier_for_the_client():
    pasts = [Past()] * N
    pasts[2] = STEADY
    vectors = updates()
    vectors[2] *= 8 / np.linalg.norm(vectors[2]) * np.median(np.linalg.norm(vectors, axis=1))
    assert fates(vectors, ValidationPolicy(norm_z=50, distance_z=50, own_distance_z=100), pasts)[2] is Fate.NORM_OUTLIER
    assert fates(vectors, ValidationPolicy(norm_z=50, distance_z=50, own_norm_z=100), pasts)[2] is Fate.DISTANCE_OUTLIER
    assert fates(vectors, ValidationPolicy(norm_z=50, distance_z=50))[2] is None
    short = Past(STEADY.norms[: FEWEST - 1], STEADY.spreads[: FEWEST - 1])
    assert fates(vectors, ValidationPolicy(norm_z=50, distance_z=50), [short] * N)[2] is None


def test_of_two_that_send_one_update_one_counts_whichever_comes_first():
    vectors = updates()
    vectors[5] = vectors[2] * 1.1
    refused = []
    for draw in range(40):
        found = fates(vectors, draw=bytes([draw]))
        assert found == fates(vectors, draw=bytes([draw]))
        assert [i for i, fate in enumerate(found) if fate is Fate.NEAR_DUPLICATE] in ([2], [5])
        assert found.count(None) == N - 1
        refused.append(found.index(Fate.NEAR_DUPLICATE))
    assert 8 < refused.count(2) < 32
    assert set(fates(updates(), ValidationPolicy(duplicate_cosine=0.5))) <= {None}


def test_of_five_that_send_one_update_one_counts():
    vectors = updates()
    vectors[7:] = vectors[2]
    for draw in range(10):
        found = fates(vectors, draw=bytes([draw]))
        assert [fate for i, fate in enumerate(found) if i in {2, *range(7, N)}].count(None) == 1
        assert {fate for i, fate in enumerate(found) if i not in {2, *range(7, N)}} == {None}


@pytest.mark.parametrize(("scale", "fate"), [(1e-3, Fate.NEAR_DUPLICATE), (0.4, Fate.NEAR_DUPLICATE), (1e3, None)])
def test_a_copy_that_is_almost_nothing_or_an_outlier_never_takes_its_victims_place(scale, fate):
    for draw in range(20):
        vectors = updates()
        vectors[0] = vectors[7] * scale
        found = fates(vectors, draw=bytes([draw]))
        assert found[7] is None
        assert found[0] is fate or (fate is None and found[0] in {Fate.NORM_OUTLIER, Fate.DISTANCE_OUTLIER})


def test_of_more_copies_than_the_round_can_spare_the_draw_decides_who_is_left():
    vectors = updates()
    vectors[6:9] = vectors[:3]
    refused = {tuple(i for i, fate in enumerate(fates(vectors, spare=1, draw=bytes([d]))) if fate) for d in range(40)}
    assert refused == {(i,) for i in (0, 1, 2, 6, 7, 8)}


def test_no_more_are_refused_than_the_round_can_do_without_the_farthest_first():
    vectors = updates()
    vectors[1] *= 30
    vectors[4] *= 3000
    vectors[7] *= 300
    refused = [[i for i, fate in enumerate(fates(vectors, spare=spare)) if fate] for spare in (-1, 0, 1, 2, 3, 9)]
    assert refused == [[], [], [4], [4, 7], [1, 4, 7], [1, 4, 7]]


def test_with_fewer_than_five_nothing_is_said():
    vectors = updates(n=4)
    vectors[0] *= 1000
    assert fates(vectors) == [None] * 4


@given(lies=st.integers(0, 5), size=st.sampled_from([1e3, 1e6, 1e20]), seed=st.integers(0, 1000))
@settings(max_examples=40, deadline=None)
def test_liars_below_half_never_get_an_honest_update_refused(lies, size, seed):
    vectors = updates(seed)
    vectors[:lies] *= size
    found = fates(vectors)
    assert all(found[:lies])
    assert set(found[lies:]) <= {None}


@pytest.mark.parametrize("value", [0.0, 1e200])
def test_numbers_are_finite_whatever_is_sent(value):
    vectors = updates()
    vectors[0] = value
    for one in judge(inner_products(list(vectors)), POLICY, [Past()] * N, N, b"draw"):
        assert all(number is None or np.isfinite(number) for number in (one.spread, one.norm_z, one.distance_z))
    assert set(fates(np.zeros((N, D)))) == {None}


def test_robust_z_scores_by_hand():
    found = z_scores(np.array([1.0, 2.0, 3.0, 4.0, 100.0]), 0.0 + 1e-9)
    np.testing.assert_allclose(found, [-2 / 1.4826, -1 / 1.4826, 0, 1 / 1.4826, 97 / 1.4826])
    assert z_score(5.0, [1.0, 2.0, 3.0], 0.1) == pytest.approx(3 / 1.4826)
    assert z_scores(np.ones(5), 0.5).tolist() == [0.0] * 5
    assert relative([1.0, 2.0, 4.0]) == pytest.approx((-np.log(2), 0.0, np.log(2)))
