from dataclasses import dataclass
from datetime import UTC, datetime

import pytest

from shieldwall.contract.policy import AggregationPolicy, RoundsPolicy, Rule
from shieldwall.lab.policies import Batches, lab_policy, private_policy
from shieldwall.lab.run import Laboratory

NOW = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Policies:
    """Policies of small federations."""

    rounds: int = 4

    def privacy(self, mode, epsilon=1.0, records=20):
        return private_policy(mode, epsilon, self.rounds, 1.0, Batches(records, records // 2, 2))

    def of(self, mode=None, clients=4, epsilon=1.0, rule=Rule.CLIPPED_MEAN):
        return lab_policy(
            "small",
            [f"client-{place}" for place in range(clients)],
            RoundsPolicy(count=self.rounds, min_replies=clients),
            AggregationPolicy(rule=rule, max_norm=1.0),
            privacy=None if mode is None else self.privacy(mode, epsilon),
            signed=True,
        )


@pytest.fixture(scope="session")
def policies():
    return Policies()


@pytest.fixture(scope="session")
def laboratory(policies):
    """A message needs a task that it is of, too."""
    with Laboratory.of(policies.of(), NOW) as made:
        yield made
