import sys

import numpy as np
import pytest
import sklearn.datasets

from shieldwall.local.attackers import AttackKind, disguise
from shieldwall.local.attackers.freeriders import FREE_RIDERS, Seen, flat, free_ride, shaped
from shieldwall.local.attackers.kinds import PROXY_KINDS, turned_container
from shieldwall.local.attackers.labels import NothingToFlipError, flip_labels
from shieldwall.local.attackers.updates import POISONS, SCALED_FACTOR, SIGN_FLIP_SCALE

BASE = {"w": np.ones((2, 2), np.float32), "b": np.zeros(2, np.float32)}
LOCAL = {"w": np.full((2, 2), 1.5, np.float32), "b": np.full(2, -0.5, np.float32)}


def poisoned(kind):
    return POISONS[kind](BASE, LOCAL, np.random.default_rng(7))


def test_sign_flip_goes_the_other_way():
    np.testing.assert_allclose(poisoned(AttackKind.SIGN_FLIP)["w"], 1 - SIGN_FLIP_SCALE * 0.5)


def test_scaled_goes_the_same_way_further():
    np.testing.assert_allclose(poisoned(AttackKind.SCALED)["b"], -0.5 * SCALED_FACTOR)


def test_gaussian_is_noise_around_the_base_model():
    assert not np.allclose(poisoned(AttackKind.GAUSSIAN)["w"], LOCAL["w"])


def test_nan_is_not_finite_and_leaves_the_honest_arrays_alone():
    assert np.isnan(poisoned(AttackKind.NAN)["w"]).sum() == 1
    assert np.isfinite(LOCAL["w"]).all()


def test_wrong_shape_has_another_shape():
    assert poisoned(AttackKind.WRONG_SHAPE)["w"].shape == (5,)


@pytest.mark.parametrize("kind", [kind for kind in POISONS if kind is not AttackKind.WRONG_SHAPE])
def test_poison_keeps_names_shapes_and_dtypes(kind):
    sent = poisoned(kind)
    assert {name: (array.shape, array.dtype) for name, array in sent.items()} == {
        name: (array.shape, array.dtype) for name, array in LOCAL.items()
    }


@pytest.mark.parametrize("kind", list(AttackKind))
def test_an_attack_turns_exactly_one_container(kind):
    command = ["shieldwall-runtime", "x"]
    turned = {
        container: disguise(kind, container, command, {"A": "b"})[0] != command
        for container in ("init", "proxy", "supernode", "trainer")
    }
    assert [container for container, changed in turned.items() if changed] == [turned_container(kind)]


def test_a_turned_container_runs_the_attackers_program_in_the_same_environment():
    command, env = disguise(AttackKind.NAN, "trainer", ["shieldwall-runtime", "trainer"], {"A": "b"})
    assert command == [sys.executable, "-m", "shieldwall.local.attackers", "trainer", "nan"]
    assert env == {"A": "b"}


def test_who_speaks_wrongly_on_the_channel_turns_the_proxy():
    assert {kind for kind in AttackKind if turned_container(kind) == "proxy"} == PROXY_KINDS


@pytest.fixture
def loaders():
    names = ("load_digits", "load_iris", "load_wine", "load_breast_cancer")
    honest = {name: getattr(sklearn.datasets, name) for name in names}
    yield honest
    for name, loader in honest.items():
        setattr(sklearn.datasets, name, loader)


def test_labels_are_reversed(loaders):
    honest = loaders["load_digits"]().target
    check = flip_labels()
    np.testing.assert_array_equal(sklearn.datasets.load_digits().target, 9 - honest)
    np.testing.assert_array_equal(sklearn.datasets.load_digits(return_X_y=True)[1], 9 - honest)
    check()


def test_an_app_without_known_labels_is_not_called_attacked(loaders):
    check = flip_labels()
    with pytest.raises(NothingToFlipError):
        check()


def ride(kind, seen, honest=None, seed=7):
    return free_ride(
        kind, seen, lambda: np.array([1.0, 2.0]) if honest is None else honest, np.random.default_rng(seed)
    )


MODELS = Seen((np.zeros(2), np.array([1.0, 1.0]), np.array([3.0, 1.0])))


def test_free_riders_send_what_they_did_not_work_for():
    assert ride(AttackKind.FREE_ZERO, MODELS)[0].tolist() == [0, 0]
    assert ride(AttackKind.FREE_REPLAY, MODELS)[0].tolist() == [2, 0]
    assert ride(AttackKind.FREE_DELAYED, MODELS)[0].tolist() == [1, 1]
    scaled = ride(AttackKind.FREE_SCALED, MODELS)[0]
    assert scaled[1] == 0
    assert 1 <= scaled[0] <= 4
    for kind in (AttackKind.FREE_NOISE, AttackKind.FREE_COLLUDING):
        assert np.linalg.norm(ride(kind, MODELS)[0]) == pytest.approx(2)
    assert np.linalg.norm(ride(AttackKind.FREE_REPLAY_NOISE, MODELS)[0] - [2, 0]) == pytest.approx(0.6)


def test_colluders_send_nearly_the_same_and_others_do_not():
    seen = Seen((np.zeros(500), np.ones(500)))
    one, other = (ride(AttackKind.FREE_COLLUDING, seen, seed=seed)[0] for seed in (1, 2))
    assert 0.8 < one @ other / 500 < 0.99
    one, other = (ride(AttackKind.FREE_NOISE, seen, seed=seed)[0] for seed in (1, 2))
    assert abs(one @ other / 500) < 0.3


def test_who_saw_nothing_yet_works_once():
    for kind in FREE_RIDERS - {AttackKind.FREE_ZERO, AttackKind.SLOW_DRIFT}:
        assert ride(kind, Seen((np.zeros(2),)))[0].tolist() == [1, 2]


def test_the_stale_send_their_first_update_for_ever():
    first, seen = ride(AttackKind.FREE_STALE, Seen((np.zeros(2),)))
    assert ride(AttackKind.FREE_STALE, seen, np.array([9.0, 9.0]))[0].tolist() == first.tolist() == [1, 2]
    noisy = ride(AttackKind.FREE_STALE_NOISE, seen, np.array([9.0, 9.0]))[0]
    assert np.linalg.norm(noisy - [1, 2]) == pytest.approx(0.3 * np.sqrt(5))


def test_what_a_free_rider_saw_survives_its_process(tmp_path):
    path = tmp_path / "seen"
    assert Seen.load(path).models == ()
    for number in range(9):
        seen = Seen.load(path).sent(np.full(2, float(number)))
        Seen(seen.models, np.ones(2) if number > 3 else None).save(path)
    kept = Seen.load(path)
    assert [model[0] for model in kept.models] == [3, 4, 5, 6, 7, 8]
    assert kept.first.tolist() == [1, 1]
    assert kept.sent(np.full(2, 8.0)).models == kept.models
    assert kept.delta(5).tolist() == [1, 1]


def test_arrays_keep_their_form_through_a_vector():
    back = shaped(flat(LOCAL), BASE)
    assert {name: (array.shape, array.dtype) for name, array in back.items()} == {
        name: (array.shape, array.dtype) for name, array in LOCAL.items()
    }
    np.testing.assert_array_equal(back["w"], LOCAL["w"])
