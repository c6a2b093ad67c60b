"""Reads the trainings that draw on a budget out of the store."""

from __future__ import annotations

from typing import TYPE_CHECKING

from shieldwall.control.budgets.sights import drawn_on, sight_of
from shieldwall.control.cluster.observe import owned_by, workloads_of
from shieldwall.control.plan.names import Names

if TYPE_CHECKING:
    from shieldwall.control.budgets.sights import TrainingSight
    from shieldwall.control.cluster.api import Json
    from shieldwall.control.cluster.shelf import Key
    from shieldwall.control.cluster.store import Store


def sights_in(store: Store, budget: Key) -> dict[str, TrainingSight]:
    """By uid: the trainings that draw on the budget."""
    drawing = (body for body in store.trainings(budget[0]) if drawn_on(body) == budget)
    seen = (sight_of(body, running=_runs(store, body)) for body in drawing)
    return {sight.uid: sight for sight in seen if sight is not None}


def _runs(store: Store, body: Json) -> bool:
    metadata = body["metadata"]
    mine = owned_by(metadata["uid"], store.owned((metadata["namespace"], metadata["name"])))
    server = workloads_of(mine).get(Names(metadata["name"]).server)
    return server is not None and server.wanted > 0
