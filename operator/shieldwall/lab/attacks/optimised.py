"""Untargeted attacks that go as far as a bound, or the defence itself, lets them."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import numpy as np

from shieldwall.lab.attacks.untargeted import little
from shieldwall.lab.attacks.view import Lies, View

if TYPE_CHECKING:
    from collections.abc import Callable

    from shieldwall.lab.attacks.view import Matrix, Vector

ALIE_FACTORS: Final = (0.25, 0.5, 1.0, 1.5, 2.0, 3.0, 5.0, 10.0)
IPM_FACTORS: Final = (0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0)


def min_max(view: View) -> Lies:
    """As far from the mean as the two honest updates that are farthest apart are from each other.

    Sends mean − g·spread with the largest g for which max_i ‖lie − u_i‖ ≤ max_ij ‖u_i − u_j‖.
    Source: Shejwalkar and Houmansadr 2021, "Manipulating the Byzantine" (NDSS 2021), section IV, inverse-std direction.
    """
    away = -view.spread
    centred = view.honest - view.mean
    own = np.einsum("ij,ij->i", centred, centred)
    bound = float(_squared_distances(centred).max())
    # ‖c + gp‖² ≤ bound for each client, with c = mean − u_i: the smallest positive root counts.
    along, squared = -(centred @ away), float(away @ away)
    gamma = min((_largest(squared, 2 * b, c - bound) for b, c in zip(along, own, strict=True)), default=0.0)
    return Lies(view.all_send(view.mean + gamma * away))


def min_sum(view: View) -> Lies:
    """As far as the sum of squared distances to the honest updates stays below that of the worst honest one.

    Source: Shejwalkar and Houmansadr 2021 (NDSS 2021), section IV, inverse-std direction.
    """
    away = -view.spread
    centred = view.honest - view.mean
    own = np.einsum("ij,ij->i", centred, centred)
    bound = float(_squared_distances(centred).sum(axis=1).max())
    gamma = _largest(len(own) * float(away @ away), 0.0, float(own.sum()) - bound)
    return Lies(view.all_send(view.mean + gamma * away))


def alie_adaptive(view: View) -> Lies:
    """A little is enough, with the z that moves this very rule farthest from the honest mean.

    Source: Baruch 2019 (arXiv:1902.06156); the search against the defence: Allouah 2023 (arXiv:2302.01772), section 6.
    """
    return _worst(view, ALIE_FACTORS, lambda z: little(view, z))


def ipm_adaptive(view: View) -> Lies:
    """Fall of Empires, with the ε that moves this very rule farthest from the honest mean.

    Source: Xie 2019 (arXiv:1903.03936); the search against the defence: Allouah 2023 (arXiv:2302.01772), section 6.
    """
    return _worst(view, IPM_FACTORS, lambda epsilon: -epsilon * view.mean)


def _worst(view: View, factors: tuple[float, ...], lie: Callable[[float], Vector]) -> Lies:
    """Try each factor on the rule; the earlier of equals."""
    damage = []
    for factor in factors:
        rows = np.concatenate([view.honest, view.all_send(lie(factor))])
        damage.append(float(np.linalg.norm(view.rule(rows) - view.mean)))
    return Lies(view.all_send(lie(factors[int(np.argmax(damage))])))


def _squared_distances(rows: Matrix) -> Matrix:
    own = np.einsum("ij,ij->i", rows, rows)
    found: Matrix = np.maximum(own[:, None] + own[None, :] - 2 * rows @ rows.T, 0.0)
    return found


def _largest(a: float, b: float, c: float) -> float:
    """The largest g ≥ 0 with a·g² + b·g + c ≤ 0, for a ≥ 0 and c ≤ 0; 0 when no g changes anything."""
    if a <= 0:
        return 0.0
    return max((-b + math.sqrt(max(b * b - 4 * a * c, 0.0))) / (2 * a), 0.0)
