"""Plans for the operator: the objects of a training are kept until something that they are made of changes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from shieldwall.control.cluster.observe import observed_of
from shieldwall.control.cluster.wanted import Wanted, wanted_of
from shieldwall.control.plan.build import objects_of, orders_of
from shieldwall.control.plan.outline import outline_of

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from shieldwall.control.api.training import Training
    from shieldwall.control.cluster.live import Live
    from shieldwall.control.cluster.store import Key, ObjectName
    from shieldwall.control.plan.orders import Observed, Plan
    from shieldwall.control.plan.outline import Outline
    from shieldwall.control.plan.settings import PlanSettings


@dataclass(frozen=True, slots=True)
class Planned:
    """The orders of a plan, what it was made from, and its objects as they are to be written."""

    plan: Plan
    """Without its objects."""
    observed: Observed
    wanted: tuple[Wanted, ...]
    outline: Outline


@dataclass(frozen=True, slots=True)
class _Kept:
    training: Training
    observed: Observed
    wanted: tuple[Wanted, ...]
    outline: Outline


class Planner:
    """Remembers the objects of each training's last plan: building them is most of a pass in which nothing is new."""

    def __init__(self, settings: PlanSettings) -> None:
        self.settings = settings
        self._kept: dict[Key, _Kept] = {}

    def plan(self, training: Training, owned: Mapping[ObjectName, Live], now: datetime) -> Planned:
        """The plan for what exists."""
        return self.plan_for(training, observed_of(training, owned), now)

    def plan_for(self, training: Training, observed: Observed, now: datetime) -> Planned:
        """The plan for what is said to exist."""
        key = (training.namespace, training.name)
        kept = self._kept.get(key)
        if kept is None or kept.training != training or not _alike(kept.observed, observed):
            objects = objects_of(training, observed, self.settings)
            wanted = tuple(wanted_of(obj) for obj in objects)
            kept = _Kept(training, observed, wanted, outline_of(training.name, objects))
            self._kept[key] = kept
        plan = orders_of(training, observed, self.settings, now)
        return Planned(plan, observed, kept.wanted, kept.outline)

    def forget(self, key: Key) -> None:
        """A training has gone."""
        self._kept.pop(key, None)


def _alike(one: Observed, other: Observed) -> bool:
    """Whether objects made from both are the same: of leaves they only need to know which there are."""
    return (
        one.trust == other.trust
        and one.node_keys == other.node_keys
        and one.shared_secrets == other.shared_secrets
        and one.leaves.keys() == other.leaves.keys()
    )
