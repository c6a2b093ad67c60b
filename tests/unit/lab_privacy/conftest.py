from dataclasses import dataclass
from datetime import UTC, datetime

import pytest

from shieldwall.accounting import Poisson
from shieldwall.contract.policy import (
    AggregationPolicy,
    AppPolicy,
    ClientPolicy,
    FederationPolicy,
    RoundsPolicy,
    Rule,
    RuntimePolicy,
)
from shieldwall.contract.privacy import PrivacyMode, PrivacyPolicy
from shieldwall.control.api.mechanism import Mechanism
from shieldwall.lab.grid import public_key
from shieldwall.lab.run import Laboratory

NOW = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Policies:
    """Policies of small federations."""

    rounds: int = 4

    def privacy(self, mode, epsilon=1.0, records=20):
        record = mode is PrivacyMode.RECORD_LEVEL
        sampling = Poisson(1 / 2) if record else None
        spare = mode is not PrivacyMode.CLIENT_LEVEL_CENTRAL
        noise = Mechanism(1e-5, self.rounds, spare=spare, steps=2 if record else 1, sampling=sampling).noise(epsilon)
        batches = {"records": records, "batch_size": records // 2, "steps": 2} if record else {}
        return PrivacyPolicy(mode=mode, epsilon=epsilon, delta=1e-5, clip=1.0, noise_multiplier=noise, **batches)

    def of(self, mode=None, clients=4, epsilon=1.0, rule=Rule.CLIPPED_MEAN):
        names = [f"client-{place}" for place in range(clients)]
        return RuntimePolicy(
            federation=FederationPolicy(uid="lab", trust_domain="lab.example", namespace="lab", name="small"),
            app=AppPolicy(client_app="lab:app", model="lab:model"),
            rounds=RoundsPolicy(count=self.rounds, min_replies=clients),
            aggregation=AggregationPolicy(rule=rule, max_norm=1.0),
            privacy=None if mode is None else self.privacy(mode, epsilon),
            clients=tuple(ClientPolicy(name=name, node_public_key=public_key(name)) for name in names),
        )


@pytest.fixture(scope="session")
def policies():
    return Policies()


@pytest.fixture(scope="session")
def laboratory(policies):
    """A message needs a task that it is of, too."""
    with Laboratory.of(policies.of(), NOW) as made:
        yield made
