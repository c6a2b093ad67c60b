"""Each attack against its paper, by hand; and all of them, whatever the updates are."""

import inspect
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from shieldwall.lab.attacks import PLANS, Goal, LabAttack, Poison, View
from shieldwall.local.attackers.freeriders import DELAY

HONEST = np.array([[1.0, 4.0], [2.0, 2.0], [3.0, 0.0]])
OWN = np.array([[2.0, 1.0], [4.0, 3.0]])
MEAN, SPREAD = np.array([2.0, 2.0]), np.array([np.sqrt(2 / 3), np.sqrt(8 / 3)])


def mean_rule(rows):
    return rows.mean(axis=0)


def view(honest=HONEST, own=OWN, deltas=(), round_=1, **options):
    rng = np.random.default_rng(options.get("seed", 0))
    return View(honest, own, tuple(deltas), round_, options.get("rule", mean_rule), rng, options.get("state", {}))


def sent(kind, **options):
    return PLANS[kind].craft(view(**options)).updates


def test_every_attack_has_a_plan_and_every_craft_a_source():
    assert set(PLANS) == set(LabAttack)
    for kind, plan in PLANS.items():
        if plan.goal is not Goal.PROTOCOL:
            assert re.search(r"arXiv:\d{4}\.\d{5}|NDSS", inspect.getdoc(plan.craft)), kind


@given(
    arrays(np.float64, (4, 3), elements=st.floats(-1e3, 1e3)),
    arrays(np.float64, (2, 3), elements=st.floats(-1e3, 1e3)),
    arrays(np.float64, (7, 3), elements=st.floats(-1e3, 1e3)),
    st.integers(1, 9),
)
@pytest.mark.parametrize("kind", LabAttack)
def test_whatever_is_known_every_attacker_sends_something_finite_and_nothing_known_is_changed(
    kind, honest, own, deltas, round_
):
    known = view(honest.copy(), own.copy(), deltas, round_)
    for _ in range(2):
        lies = PLANS[kind].craft(known)
        assert lies.updates.shape == own.shape
        assert np.isfinite(lies.updates).all()
        known = view(known.honest, known.own, deltas, round_ + 1, state=lies.state)
    assert (known.honest == honest).all()
    assert (known.own == own).all()


@pytest.mark.parametrize("kind", LabAttack)
def test_the_same_knowledge_and_seed_give_the_same_lie(kind):
    one, other = (sent(kind, deltas=[MEAN], seed=4) for _ in range(2))
    assert one.tolist() == other.tolist()


def test_sign_flip():
    assert sent(LabAttack.SIGN_FLIP).tolist() == (-10 * OWN).tolist()


def test_gaussian_noise_is_ten_honest_norms_long():
    wide = np.random.default_rng(1).normal(size=(5, 10_000))
    lies = sent(LabAttack.GAUSSIAN, honest=wide, own=np.zeros((2, 10_000)))
    np.testing.assert_allclose(np.linalg.norm(lies, axis=1), 10 * 100, rtol=0.05)
    assert abs(np.corrcoef(lies)[0, 1]) < 0.05


def test_alie_hides_behind_a_majority():
    # n = 15, f = 3: s = 8 − 3 = 5, Φ⁻¹(7/12) = 0.2104.
    honest = np.random.default_rng(2).normal(size=(12, 4))
    lies = sent(LabAttack.ALIE, honest=honest, own=np.zeros((3, 4)))
    np.testing.assert_allclose(lies[0], honest.mean(axis=0) - 0.2104 * honest.std(axis=0), atol=1e-4)
    assert (lies == lies[0]).all()


def test_alie_with_a_fixed_z():
    np.testing.assert_allclose(sent(LabAttack.ALIE_FIXED)[0], MEAN - 1.5 * SPREAD)


def test_ipm():
    assert sent(LabAttack.IPM).tolist() == [[-1.0, -1.0]] * 2


@pytest.mark.parametrize(("kind", "longest"), [(LabAttack.ALIE_ADAPTIVE, 10.0), (LabAttack.IPM_ADAPTIVE, 10.0)])
def test_adaptive_attacks_take_what_moves_the_rule_most(kind, longest):
    lie = {
        LabAttack.ALIE_ADAPTIVE: lambda factor: MEAN - factor * SPREAD,
        LabAttack.IPM_ADAPTIVE: lambda factor: -factor * MEAN,
    }[kind]
    # A plain mean goes farther the farther the lie is.
    np.testing.assert_allclose(sent(kind)[0], lie(longest))

    def wary(rows):
        near = [row for row in rows if np.linalg.norm(row - MEAN) < 5]
        return np.mean(near, axis=0)

    chosen = sent(kind, rule=wary)[0]
    assert np.linalg.norm(chosen - MEAN) < 5
    assert any(np.allclose(chosen, lie(factor)) for factor in (0.5, 1.0, 1.5, 2.0))


def distances(rows):
    return np.linalg.norm(rows[:, None] - rows[None, :], axis=2)


@given(arrays(np.float64, (5, 4), elements=st.integers(-50, 50).map(float)))
def test_min_max_is_as_far_as_the_farthest_honest_pair_and_no_farther(honest):
    lie = sent(LabAttack.MIN_MAX, honest=honest)[0]
    bound, far = distances(honest).max(), np.linalg.norm(lie - honest, axis=1).max()
    assert far <= bound * (1 + 1e-9) + 1e-9
    if honest.std(axis=0).any():
        assert far == pytest.approx(bound, rel=1e-6)
        assert ((lie - honest.mean(axis=0)) <= 1e-9).all()


@given(arrays(np.float64, (5, 4), elements=st.integers(-50, 50).map(float)))
def test_min_sum_is_as_far_as_the_worst_honest_sum_and_no_farther(honest):
    lie = sent(LabAttack.MIN_SUM, honest=honest)[0]
    bound = (distances(honest) ** 2).sum(axis=1).max()
    assert (np.linalg.norm(lie - honest, axis=1) ** 2).sum() == pytest.approx(bound, rel=1e-6, abs=1e-6)


def test_mimics_copy_one_honest_client_and_stay_with_it():
    honest = np.array([[1.0, 0.0], [1.1, 0.1], [0.9, 0.0], [-6.0, 1.0]])
    state, copied = {}, []
    for round_ in range(1, 6):
        lies = PLANS[LabAttack.MIMIC].craft(view(honest, round_=round_, state=state))
        state = lies.state
        copied.append(lies.updates[0].tolist())
        assert (lies.updates == lies.updates[0]).all()
    assert copied[-1] in honest.tolist()
    assert copied[1:] == [copied[-1]] * 4


def test_slow_drift_pushes_the_same_way_in_every_round():
    first = PLANS[LabAttack.SLOW_DRIFT].craft(view())
    second = PLANS[LabAttack.SLOW_DRIFT].craft(view(seed=9, state=first.state))
    pushes = [lies.updates - OWN for lies in (first, second)]
    np.testing.assert_allclose(pushes[0], pushes[1])
    np.testing.assert_allclose(np.abs(pushes[0]), np.tile(0.5 * SPREAD, (2, 1)))


def test_model_replacement_makes_the_mean_the_attackers_model():
    own = np.tile([5.0, -5.0], (2, 1))
    calm = np.zeros((6, 2))
    lies = sent(LabAttack.MODEL_REPLACEMENT, honest=calm, own=own)
    np.testing.assert_allclose(np.concatenate([calm, lies]).mean(axis=0), own[0])


def test_fitted_model_replacement_is_no_longer_than_an_honest_update():
    fitted = sent(LabAttack.MODEL_REPLACEMENT_FITTED)
    free = sent(LabAttack.MODEL_REPLACEMENT)
    np.testing.assert_allclose(np.linalg.norm(fitted, axis=1), np.linalg.norm(HONEST, axis=1).max())
    cosines = (fitted * free).sum(axis=1) / np.linalg.norm(fitted, axis=1) / np.linalg.norm(free, axis=1)
    np.testing.assert_allclose(cosines, 1.0)


def test_what_is_trained_on_poisoned_data_is_sent_as_it_is():
    assert {kind for kind, plan in PLANS.items() if plan.poison is Poison.LABELS} == {LabAttack.LABEL_FLIP}
    assert sent(LabAttack.LABEL_FLIP).tolist() == sent(LabAttack.BACKDOOR).tolist() == OWN.tolist()


DELTAS = [np.array([float(place), -float(place)]) for place in range(1, 8)]


def test_free_riders_send_what_everybody_was_sent():
    assert sent(LabAttack.FREE_ZERO, deltas=DELTAS).tolist() == [[0.0, 0.0]] * 2
    assert sent(LabAttack.FREE_REPLAY, deltas=DELTAS).tolist() == [DELTAS[-1].tolist()] * 2
    assert sent(LabAttack.FREE_DELAYED, deltas=DELTAS).tolist() == [DELTAS[-DELAY].tolist()] * 2
    assert sent(LabAttack.FREE_DELAYED, deltas=DELTAS[:2]).tolist() == [DELTAS[0].tolist()] * 2


def test_free_riders_train_while_there_is_nothing_to_copy():
    for kind in (LabAttack.FREE_REPLAY, LabAttack.FREE_DELAYED, LabAttack.FREE_NOISE):
        assert sent(kind).tolist() == OWN.tolist()


def test_noisy_free_riders_are_as_long_as_the_last_step():
    delta = np.full(10_000, 0.3)
    lies = sent(LabAttack.FREE_NOISE, honest=np.zeros((3, 10_000)), own=np.zeros((2, 10_000)), deltas=[delta])
    np.testing.assert_allclose(np.linalg.norm(lies, axis=1), 30)


def test_colluding_free_riders_share_most_of_their_noise():
    delta = np.full(10_000, 0.3)
    lies = sent(LabAttack.FREE_COLLUDING, honest=np.zeros((3, 10_000)), own=np.zeros((2, 10_000)), deltas=[delta])
    np.testing.assert_allclose(np.linalg.norm(lies, axis=1), 30)
    assert lies[0] @ lies[1] / 900 == pytest.approx(0.92, abs=0.02)
    assert abs(lies[0] @ delta) / 900 < 0.05


def test_stale_free_riders_send_their_first_update_for_ever():
    first = PLANS[LabAttack.FREE_STALE].craft(view())
    later = PLANS[LabAttack.FREE_STALE].craft(view(own=OWN + 7, state=first.state))
    assert later.updates.tolist() == OWN.tolist()
