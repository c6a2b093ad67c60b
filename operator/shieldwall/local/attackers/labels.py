"""Wrong labels: the data sets that scikit-learn ships are loaded with their classes reversed."""

from __future__ import annotations

from functools import wraps
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

_LOADERS = ("load_digits", "load_iris", "load_wine", "load_breast_cancer")


class NothingToFlipError(RuntimeError):
    """The app trained without loading labels that this attack knows how to flip."""

    def __init__(self) -> None:
        super().__init__("label-flip had nothing to flip: the app loads none of scikit-learn's own data sets")


def flip_labels() -> Callable[[], None]:
    """Turn scikit-learn's loaders, before the user's app imports them.

    Returns a function that raises NothingToFlipError if none of them was called: an attack that does nothing must not
    look like one that was withstood.
    """
    import sklearn.datasets  # only a turned trainer needs it

    called: list[str] = []

    def turned(load: Callable[..., Any], name: str) -> Callable[..., Any]:
        @wraps(load)
        def loader(*arguments: Any, **options: Any) -> Any:  # noqa: ANN401  # whatever scikit-learn's loader takes and gives
            called.append(name)
            data = load(*arguments, **options)
            if options.get("return_X_y"):
                features, target = data
                return features, target.max() - target
            data.target = data.target.max() - data.target
            return data

        return loader

    for name in _LOADERS:
        setattr(sklearn.datasets, name, turned(getattr(sklearn.datasets, name), name))

    def check() -> None:
        if not called:
            raise NothingToFlipError

    return check
