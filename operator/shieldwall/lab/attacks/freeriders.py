"""Clients that take the model and give nothing: the free-riders of ``shieldwall run``, in a simulated round."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from shieldwall.lab.attacks.view import Lies
from shieldwall.local.attackers.freeriders import DELAY, Seen, free_ride

if TYPE_CHECKING:
    from shieldwall.lab.attacks.view import Vector, View
    from shieldwall.local.attackers.kinds import AttackKind


@dataclass(frozen=True, slots=True)
class FreeRider:
    """What each attacker sends by what every client is sent, and now and then by its own training.

    Sources: Lin et al. 2019 (arXiv:1911.12560) for replayed deltas and noise, Fraboni et al. 2021 (arXiv:2006.11901)
    for disguised ones, Fung 2018 (arXiv:1808.04866) for sybils.
    """

    kind: AttackKind

    def __call__(self, view: View) -> Lies:
        """The attackers' updates of one round; they remember what they once trained."""
        models, firsts = _models(view), view.state.get("first")
        updates, trained = [], []
        for position, own in enumerate(view.own):
            known = None if firsts is None or firsts.shape != view.own.shape else firsts[position]
            update, seen = free_ride(self.kind, Seen(models, known), own.copy, view.rng)
            updates.append(update)
            trained.append(seen.first)
        kept = [first for first in trained if first is not None]
        return Lies(np.stack(updates), {"first": np.stack(kept)} if kept else {})


def _models(view: View) -> tuple[Vector, ...]:
    """The last models, up to a shift: their differences are the global updates."""
    models = [np.zeros_like(view.mean)]
    for delta in view.deltas[-DELAY:]:
        models.append(models[-1] + delta)
    return tuple(models)
