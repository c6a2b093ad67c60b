import sys

import numpy as np
import pytest
import sklearn.datasets

from shieldwall.local.attackers import AttackKind, disguise
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
