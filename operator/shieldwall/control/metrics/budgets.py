"""What the books of budgets say, as numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

if TYPE_CHECKING:
    from collections.abc import Iterator

    from prometheus_client.core import Metric

    from shieldwall.control.api.budget_status import PrivacyBudgetStatus
    from shieldwall.control.cluster.shelf import Key

OF_BUDGET: Final = ("namespace", "budget")
"""Labels; their values are the budget's key."""


class Budgets(Collector):
    """Computed when asked for, so that nothing of a budget that has gone is left."""

    def __init__(self) -> None:
        self._seen: dict[Key, tuple[float, PrivacyBudgetStatus]] = {}

    def saw(self, key: Key, limit: float, books: PrivacyBudgetStatus) -> None:
        """Take over the books of a pass; ``limit`` is the ε that may be spent."""
        self._seen[key] = limit, books

    def forget(self, key: Key) -> None:
        """A budget has gone."""
        self._seen.pop(key, None)

    def collect(self) -> Iterator[Metric]:
        """The family, also while there is no budget."""
        family = GaugeMetricFamily(
            "shieldwall_privacy_budget_epsilon",
            "The epsilon of a PrivacyBudget: its limit, and what is spent and reserved of it in this period.",
            labels=[*OF_BUDGET, "state"],
        )
        for key, (limit, books) in self._seen.items():
            family.add_metric([*key, "limit"], limit)
            for state, loss in (("spent", books.spent), ("reserved", books.reserved)):
                family.add_metric([*key, state], loss.epsilon if loss is not None else 0.0)
        yield family
