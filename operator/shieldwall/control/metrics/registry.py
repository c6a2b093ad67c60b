"""All metrics of one replica."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info, generate_latest

from shieldwall import __version__
from shieldwall.control.metrics.budgets import Budgets
from shieldwall.control.metrics.queued import Queued
from shieldwall.control.metrics.seen import Seen
from shieldwall.control.metrics.trainings import Trainings

if TYPE_CHECKING:
    from collections.abc import Callable

    from shieldwall.control.api.status import FederatedTrainingStatus
    from shieldwall.control.cluster.api import Request
    from shieldwall.control.cluster.store import Key
    from shieldwall.control.plan.orders import Observed
    from shieldwall.control.status.sight import Sight

_BUCKETS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)


class Metrics:
    """All of them, in a registry of their own."""

    def __init__(self, queue_depth: Callable[[], int], queue_retries: Callable[[], int]) -> None:
        self.registry = CollectorRegistry()
        Info("shieldwall_build", "The operator that runs.", registry=self.registry).info({"version": __version__})
        self._leads = False
        self._leader = Gauge("shieldwall_operator_leader", "1 while this replica leads.", registry=self.registry)
        self.reconcile = Histogram(
            "shieldwall_reconcile_seconds",
            "How long a pass over one training, or one budget, took.",
            ["outcome"],
            buckets=_BUCKETS,
            registry=self.registry,
        )
        self._requests = Counter(
            "shieldwall_api_requests", "Requests to the API server.", ["verb", "kind", "code"], registry=self.registry
        )
        self.issued = Counter(
            "shieldwall_certificates_issued", "Leaf certificates issued.", ["reason"], registry=self.registry
        )
        self.repaired = Counter(
            "shieldwall_objects_repaired",
            "Objects of trainings that somebody else had changed or deleted, and that were set right.",
            ["kind"],
            registry=self.registry,
        )
        # Followers keep the queue filled and never work on it.
        self.registry.register(Queued(lambda: queue_depth() if self._leads else 0, queue_retries))
        self._trainings = Trainings()
        self.registry.register(self._trainings)
        self.budgets = Budgets()
        self.registry.register(self.budgets)

    def leads(self, leads: bool) -> None:  # noqa: FBT001  # as Gauge.set
        """Take over whether this replica leads."""
        self._leads = leads
        self._leader.set(float(leads))

    def requested(self, request: Request) -> None:
        """Count a request to the API server."""
        self._requests.labels(request.verb, request.kind, request.code).inc()

    def saw(self, key: Key, sight: Sight, status: FederatedTrainingStatus) -> None:
        """Take over what a pass saw of a training."""
        self._trainings.seen[key] = Seen(status, sight)

    def stalled(self, key: Key, status: FederatedTrainingStatus, remains: Observed) -> None:
        """Take over that a training cannot even be read. The certificates that are there go on to end."""
        self._trainings.seen[key] = Seen(status, remains=remains)

    def forget(self, key: Key) -> None:
        """A training has gone."""
        self._trainings.seen.pop(key, None)

    def render(self) -> bytes:
        """The text that Prometheus reads."""
        return generate_latest(self.registry)
