"""Poisoned updates: pure functions from the base model and an honest reply to what the attacker sends."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from shieldwall.local.attackers.kinds import AttackKind

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

    Arrays = Mapping[str, NDArray[Any]]
    Poison = Callable[[Arrays, Arrays, np.random.Generator], dict[str, NDArray[Any]]]

SIGN_FLIP_SCALE: Final = 10.0
SCALED_FACTOR: Final = 100.0
NOISE_FACTOR: Final = 10.0


def sign_flip(base: Arrays, local: Arrays, _: np.random.Generator) -> dict[str, NDArray[Any]]:
    """``base − s·(local − base)`` with s = SIGN_FLIP_SCALE (gradient reversal with boosting; arXiv:1803.01498, 7)."""
    return _along(base, local, -SIGN_FLIP_SCALE)


def scaled(base: Arrays, local: Arrays, _: np.random.Generator) -> dict[str, NDArray[Any]]:
    """``base + s·(local − base)`` with s = SCALED_FACTOR (model replacement; Bagdasaryan 2020, arXiv:1807.00459)."""
    return _along(base, local, SCALED_FACTOR)


def gaussian(base: Arrays, local: Arrays, random: np.random.Generator) -> dict[str, NDArray[Any]]:
    """``base`` plus noise NOISE_FACTOR times as strong as the honest update (Blanchard 2017, arXiv:1703.02757)."""
    return {
        name: (
            base[name] + random.normal(0.0, NOISE_FACTOR * float(np.std(array - base[name])) + 1e-6, array.shape)
        ).astype(array.dtype)
        for name, array in local.items()
    }


def nan(_: Arrays, local: Arrays, __: np.random.Generator) -> dict[str, NDArray[Any]]:
    """The honest reply with one number that is none: a plain average of it is none either."""
    poisoned = {name: array.copy() for name, array in local.items()}
    next(iter(poisoned.values())).reshape(-1)[0] = np.nan
    return poisoned


def wrong_shape(_: Arrays, local: Arrays, __: np.random.Generator) -> dict[str, NDArray[Any]]:
    """The honest reply with its first array flattened and one number longer."""
    first = next(iter(local))
    longer = np.append(local[first].reshape(-1), local[first].reshape(-1)[:1])
    return {name: longer if name == first else array for name, array in local.items()}


def _along(base: Arrays, local: Arrays, factor: float) -> dict[str, NDArray[Any]]:
    return {name: (base[name] + factor * (array - base[name])).astype(array.dtype) for name, array in local.items()}


POISONS: Final[Mapping[AttackKind, Poison]] = {
    AttackKind.SIGN_FLIP: sign_flip,
    AttackKind.SCALED: scaled,
    AttackKind.GAUSSIAN: gaussian,
    AttackKind.NAN: nan,
    AttackKind.WRONG_SHAPE: wrong_shape,
}
