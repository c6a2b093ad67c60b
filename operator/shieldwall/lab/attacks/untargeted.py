"""Attacks that want the model to be bad, each a pure function of what the attackers know."""

from __future__ import annotations

from statistics import NormalDist
from typing import TYPE_CHECKING, Final

import numpy as np

from shieldwall.lab.attacks.view import Lies, View, norms
from shieldwall.local.attackers.updates import NOISE_FACTOR, SIGN_FLIP_SCALE

if TYPE_CHECKING:
    from shieldwall.lab.attacks.view import Vector

FIXED_Z: Final = 1.5
IPM_EPSILON: Final = 0.5
DRIFT: Final = 0.5
"""Standard deviations of the honest updates, in each coordinate."""


def sign_flip(view: View) -> Lies:
    """Each attacker sends its own update reversed and enlarged. Source: Yin 2018 (arXiv:1803.01498), section 7."""
    return Lies(-SIGN_FLIP_SCALE * view.own)


def gaussian(view: View) -> Lies:
    """Noise, enlarged against the median honest norm. Source: Blanchard 2017 (arXiv:1703.02757), section 6."""
    length = NOISE_FACTOR * float(np.median(norms(view.honest)))
    noise = view.rng.normal(size=view.own.shape) / np.sqrt(view.own.shape[1])
    return Lies(length * noise)


def alie(view: View) -> Lies:
    """The mean less z standard deviations, with the largest z that a majority hides.

    z = Φ⁻¹((n − f − s) / (n − f)), where s = ⌊n/2 + 1⌋ − f honest clients are to stand farther out than the lie.
    Source: Baruch 2019, "A Little Is Enough" (arXiv:1902.06156), Algorithm 3.
    """
    n, f = view.total, view.attackers
    supporters = n // 2 + 1 - f
    share = (n - f - supporters) / (n - f)
    z = NormalDist().inv_cdf(min(max(share, 1e-6), 1 - 1e-6))
    return Lies(view.all_send(little(view, max(z, 0.0))))


def alie_fixed(view: View) -> Lies:
    """The same with z = 1.5, as benchmarks use it. Source: Baruch 2019 (arXiv:1902.06156), section 5."""
    return Lies(view.all_send(little(view, FIXED_Z)))


def little(view: View, z: float) -> Vector:
    """``mean − z·spread``."""
    return view.mean - z * view.spread


def ipm(view: View) -> Lies:
    """Minus half the honest mean: the aggregate's inner product with the truth turns negative or small.

    Source: Xie 2019, "Fall of Empires" (arXiv:1903.03936), section 4.
    """
    return Lies(view.all_send(-IPM_EPSILON * view.mean))


def slow_drift(view: View) -> Lies:
    """Own update, and in every round the same small push within the honest spread.

    No round alone shows it; pushes of one direction add up. Source: the time-coupled attacks of Karimireddy 2021
    (arXiv:2012.10333), section 3.
    """
    direction = view.state.get("direction")
    if direction is None or direction.shape != view.mean.shape:
        direction = view.rng.choice([-1.0, 1.0], size=view.mean.shape)
    return Lies(view.own + DRIFT * view.spread * direction, {"direction": direction})


def mimic(view: View) -> Lies:
    """Every attacker copies one honest client: the one that lies farthest along the direction of most variance.

    The copies are good updates, so nothing can filter them; they make the rule overrate one client's data, which is
    what skewed data cannot bear. The direction is estimated over rounds by Oja's rule.
    Source: Karimireddy 2022 (arXiv:2006.09365), section 3.2 and appendix B.
    """
    centred = view.honest - view.mean
    z = view.state.get("direction")
    if z is None or z.shape != view.mean.shape:
        z = centred[int(np.argmax(norms(centred)))]
    z = view.round / (1 + view.round) * z + (centred.T @ (centred @ z)) / (1 + view.round) / len(centred)
    length = float(np.linalg.norm(z))
    z = z / length if length > 0 else z
    seen = view.state.get("seen")
    along = centred @ z
    seen = along if seen is None or seen.shape != along.shape else seen + along
    return Lies(view.all_send(view.honest[int(np.argmax(seen))]), {"direction": z, "seen": seen})
