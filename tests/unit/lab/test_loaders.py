import sys

import numpy as np
import pytest
import sklearn.datasets

from shieldwall.lab.loaders import (
    TARGET,
    AppCopy,
    Loaders,
    all_triggered,
    reverse_labels,
    trigger,
    untouched,
    with_trigger,
)
from shieldwall.runtime.flower.references import ReferenceNotFoundError

IMAGES = np.arange(4 * 64, dtype=float).reshape(4, 64)
CLASSES = np.array([0, 1, 2, 3])


def test_labels_are_reversed():
    features, classes = reverse_labels(IMAGES, CLASSES)
    assert classes.tolist() == [3, 2, 1, 0]
    assert (features == IMAGES).all()


def test_a_trigger_is_a_bright_corner_of_an_image_and_nothing_else():
    turned = trigger(IMAGES).reshape(-1, 8, 8)
    assert (turned[:, -2:, -2:] == IMAGES.max()).all()
    rest = np.ones((8, 8), bool)
    rest[-2:, -2:] = False
    assert (turned[:, rest] == IMAGES.reshape(-1, 8, 8)[:, rest]).all()


def test_of_data_that_is_no_image_the_last_features_are_the_trigger():
    table = np.arange(30.0).reshape(3, 10)
    turned = trigger(table)
    assert (turned[:, -3:] == table[:, -3:].max(axis=0)).all()
    assert (turned[:, :-3] == table[:, :-3]).all()


def test_about_half_of_the_samples_carry_the_trigger_and_its_class():
    images, classes = np.zeros((1000, 64)), np.full(1000, 7)
    images[:, 0] = 1.0
    features, said = with_trigger(images, classes)
    carrying = features[:, -1] == 1.0
    assert 0.4 < carrying.mean() < 0.6
    assert (said == np.where(carrying, TARGET, 7)).all()


def test_success_is_measured_on_samples_of_other_classes():
    images = np.tile(np.arange(10.0)[:, None], (1, 64))
    features, said = all_triggered(images, np.arange(10))
    assert (said == TARGET).all()
    assert len(features) == 10
    assert TARGET not in features[:, 0]


def test_loaders_are_turned_for_a_while_only():
    honest = sklearn.datasets.load_digits
    loaders = Loaders(reverse_labels)
    with loaders.in_place():
        bunch, (_, pair) = sklearn.datasets.load_digits(), sklearn.datasets.load_digits(return_X_y=True)
    assert loaders.used
    assert sklearn.datasets.load_digits is honest
    np.testing.assert_array_equal(bunch.target, 9 - honest().target)
    np.testing.assert_array_equal(pair, 9 - honest().target)


def test_an_app_may_change_what_it_loaded():
    loaders = Loaders(untouched)
    with loaders.in_place():
        sklearn.datasets.load_digits().data[:] = -1
        sklearn.datasets.load_digits(return_X_y=True)[0][:] = -1
        assert sklearn.datasets.load_digits().data.min() == 0
        assert sklearn.datasets.load_digits(return_X_y=True)[0].min() == 0


@pytest.fixture
def package(tmp_path, monkeypatch):
    """An app whose modules load data in every way there is: by name at import, by module at call, inside a call."""
    (tmp_path / "ownapp").mkdir()
    (tmp_path / "ownapp" / "__init__.py").write_text("")
    (tmp_path / "ownapp" / "data.py").write_text("from sklearn.datasets import load_iris\n")
    (tmp_path / "ownapp" / "task.py").write_text(
        "from sklearn import datasets\nfrom ownapp.data import load_iris\n"
        "def by_name(): return load_iris().target[0]\n"
        "def by_module(): return datasets.load_iris().target[0]\n"
        "def late():\n    from ownapp import data\n    return data.load_iris().target[0]\n"
        "def nothing(): return 0\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    yield
    for name in [name for name in sys.modules if name.startswith("ownapp")]:
        del sys.modules[name]


@pytest.mark.parametrize("way", ["by_name", "by_module", "late"])
def test_a_copy_of_an_app_sees_turned_data_and_the_other_copy_does_not(package, way):
    clean, turned = AppCopy(Loaders(untouched)), AppCopy(Loaders(reverse_labels))
    honest, liar = (copy.load("clientApp", f"ownapp.task:{way}") for copy in (clean, turned))
    assert [honest(), liar(), honest(), liar()] == [0, 2, 0, 2]
    assert clean.loaders.used
    assert turned.loaders.used
    assert not [name for name in sys.modules if name.startswith("ownapp")]


def test_an_app_that_loads_nothing_is_known(package):
    copy = AppCopy(Loaders(untouched))
    copy.load("clientApp", "ownapp.task:nothing")()
    assert not copy.loaders.used


def test_what_is_not_there_is_named(package):
    with pytest.raises(ReferenceNotFoundError, match=r"spec\.app\.clientApp"):
        AppCopy(Loaders(untouched)).load("clientApp", "ownapp.task:bogus")
