"""Metrics of the work queue."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


class Queued(Collector):
    """Read from the queue when asked for."""

    def __init__(self, depth: Callable[[], int], retries: Callable[[], int]) -> None:
        self._depth = depth
        self._retries = retries

    def collect(self) -> Iterator[Metric]:
        """How long it is, and how often something was put back."""
        yield GaugeMetricFamily("shieldwall_queue_depth", "Trainings that wait for a pass.", value=self._depth())
        yield CounterMetricFamily(
            "shieldwall_queue_retries", "Passes that failed and were put off.", value=self._retries()
        )
