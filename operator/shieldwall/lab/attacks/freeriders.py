"""Clients that take the model and give nothing: they never train, and know only what every client is sent."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from shieldwall.lab.attacks.view import Lies, View

if TYPE_CHECKING:
    from shieldwall.lab.attacks.view import Matrix, Vector

DELAY: Final = 5
"""Rounds."""
DISGUISE: Final = 0.1
"""Noise, as a share of the last global update's norm."""


def zero(view: View) -> Lies:
    """The model that was sent, sent back. Source: Lin 2019 (arXiv:1911.12560), section 3."""
    return Lies(np.zeros_like(view.own))


def noise(view: View) -> Lies:
    """Noise as long as the last global update. Source: Fraboni 2021 (arXiv:2006.11901), disguised free-riders."""
    return Lies(_noise(view, view.own.shape, 1.0))


def replay(view: View) -> Lies:
    """The last global update again. Source: Lin 2019 (arXiv:1911.12560), delta-weights attack."""
    return Lies(view.all_send(_last(view)))


def delayed(view: View) -> Lies:
    """The global update of some rounds ago. Source: Lin 2019 (arXiv:1911.12560), delta-weights attack."""
    return Lies(view.all_send(view.deltas[-DELAY] if len(view.deltas) >= DELAY else np.zeros_like(view.mean)))


def colluding(view: View) -> Lies:
    """The last global update under one noise that all of them share, and a little of each one's own.

    Source: the sybils of Fung 2018, FoolsGold (arXiv:1808.04866), without their training.
    """
    shared = _last(view) + _noise(view, view.mean.shape, DISGUISE)
    return Lies(view.all_send(shared) + _noise(view, view.own.shape, DISGUISE / 100))


def stale(view: View) -> Lies:
    """The update of their first round, for ever: they trained once. After Fraboni 2021 (arXiv:2006.11901)."""
    first = view.state.get("first")
    sent = view.own if first is None or first.shape != view.own.shape else first
    return Lies(sent, {"first": sent})


def _last(view: View) -> Vector:
    return view.deltas[-1] if view.deltas else np.zeros_like(view.mean)


def _noise(view: View, shape: tuple[int, ...], share: float) -> Matrix:
    length = float(np.linalg.norm(_last(view)))
    found: Matrix = view.rng.normal(size=shape) * share * length / np.sqrt(shape[-1])
    return found
