"""Metrics of all trainings."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client.registry import Collector

from shieldwall.control.metrics.certificates import certificates
from shieldwall.control.metrics.phases import phases
from shieldwall.control.metrics.states import states
from shieldwall.control.metrics.stewards import stewards

if TYPE_CHECKING:
    from collections.abc import Iterator

    from prometheus_client.core import Metric

    from shieldwall.control.cluster.store import Key
    from shieldwall.control.metrics.seen import Seen


class Trainings(Collector):
    """Computed when asked for, so that nothing of a training that has gone is left."""

    def __init__(self) -> None:
        self.seen: dict[Key, Seen] = {}

    def collect(self) -> Iterator[Metric]:
        """Every family, also while there is no training."""
        for families in (phases, states, stewards, certificates):
            yield from families(self.seen)
