"""The Gaussian mechanism on long vectors, in place and a block at a time: no second copy of a model is made.

Noise comes from a generator that is handed in. In pods it is ``os_generator``'s; nothing that a client, a policy or a
message says ever seeds it. It is drawn in float64 and rounded to the vector's dtype: attacks on the last bits of
floating-point noise (Mironov 2012, doi:10.1145/2382196.2382264) are not defended against.
"""

from __future__ import annotations

import math
import os
from typing import TYPE_CHECKING, Final

import numpy as np

from shieldwall.runtime.aggregation.vectors import BLOCK, blocks, norm

if TYPE_CHECKING:
    from collections.abc import Callable

    from shieldwall.runtime.model import Vector

_SEED_BYTES: Final = 32
_TAIL: Final = math.sqrt(2 * math.log(1e9))


def os_generator(random: Callable[[int], bytes] = os.urandom) -> np.random.Generator:
    """A generator that the operating system seeds: two runs never draw the same. ``random(n)`` gives n bytes."""
    return np.random.default_rng(int.from_bytes(random(_SEED_BYTES), "big"))


def clip(vector: Vector, bound: float) -> None:
    """Scale ``vector``, (d,) and finite, down to an L2 norm of ``bound`` where it has a larger one."""
    length = norm(vector)
    if length > bound:
        for span in blocks(vector.size):
            # One factor at a time: their quotient is 0 or infinite where the norm is at the ends of its dtype.
            vector[span] = vector[span].astype(np.float64) / length * bound


def noised_norm(bound: float, deviation: float, size: int) -> float:
    """The L2 norm that ``size`` coordinates of norm ``bound`` pass once in 10⁹ times after ``add_noise``.

    A norm is a 1-Lipschitz function: that of the noise is above σ(√d + t) with a probability below exp(-t²/2)
    (Boucheron, Lugosi and Massart 2013, Theorem 5.6).
    """
    return bound + deviation * (math.sqrt(size) + _TAIL)


def add_noise(vector: Vector, deviation: float, generator: np.random.Generator) -> None:
    """Add N(0, ``deviation``²) to each coordinate of ``vector``, (d,), independently."""
    drawn = np.empty(min(BLOCK, vector.size))
    for span in blocks(vector.size):
        noise = drawn[: span.stop - span.start]
        generator.standard_normal(out=noise)
        noise *= deviation
        noise += vector[span]
        vector[span] = noise
