import dataclasses
import datetime as dt
import itertools

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from shieldwall.contract.identity import Federation
from shieldwall.control.api.parse import parse_training
from shieldwall.control.plan import PlanSettings, build_plan
from shieldwall.control.plan.orders import Observed, Trust
from shieldwall.pki.authority import new_issuer, new_root
from shieldwall.pki.leaf import LeafRequest, issue

NOW = dt.datetime(2026, 3, 1, 12, tzinfo=dt.UTC)


def make_training(spec=None, clients=3, **metadata):
    """A training with ``clients`` clients; ``spec`` replaces whole sections."""
    return parse_training(
        {
            "apiVersion": "shieldwall.dev/v1alpha1",
            "kind": "FederatedTraining",
            "metadata": {"name": "digits", "namespace": "fed"} | metadata,
            "spec": {
                "app": {
                    "image": "registry.example/digits:1.4",
                    "clientApp": "digits.app:client",
                    "model": "digits.app:m",
                },
                "rounds": {"count": 30},
                "clients": [{"name": f"site-{number}"} for number in range(clients)],
            }
            | (spec or {}),
        }
    )


class Shell:
    """Fills orders as the operator does, with one key for all, for speed."""

    def __init__(self, federation):
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._serials = itertools.count(1)
        self._federation = federation
        self._root = new_root("test", self._key, next(self._serials), NOW)
        self.issuer = None

    def new_issuer(self, now=NOW, lifetime=dt.timedelta(days=90)):
        self.issuer = new_issuer(self._root, self._federation, self._key, next(self._serials), now, lifetime)
        return self.issuer.certificate

    def fill(self, plan, observed, now=NOW):
        if plan.authority is not None:
            observed = dataclasses.replace(observed, issuer=self.new_issuer(now), trust=Trust("bundle\n", "crl\n"))
        leaves, renewals = dict(observed.leaves), dict(observed.renewals)
        for order in plan.certificates:
            renewals[order.secret] = order.request
            request = LeafRequest(order.identity, order.dns_names, order.lifetime)
            leaves[order.secret] = issue(self.issuer, request, self._key.public_key(), next(self._serials), now)
        return dataclasses.replace(
            observed,
            leaves=leaves,
            renewals=renewals,
            node_keys={**observed.node_keys, **{order.client: f"key of {order.client}\n" for order in plan.node_keys}},
            shared_secrets=observed.shared_secrets | {order.secret for order in plan.shared_secrets},
        )

    def settle(self, training, settings=PlanSettings(), now=NOW):  # noqa: B008  # frozen
        """What is observed once every order was filled."""
        observed = Observed()
        return self.fill(build_plan(training, observed, settings, now), observed, now)


@pytest.fixture
def now():
    return NOW


@pytest.fixture
def new_training():
    return make_training


@pytest.fixture
def shell(request):
    """A shell; a test may name its trust domain by indirect parametrization."""
    return Shell(Federation(getattr(request, "param", "cluster.local"), "fed", "digits"))


@pytest.fixture
def complete(shell):
    """The plan of a training whose orders are all filled."""

    def plan(training, settings=PlanSettings()):  # noqa: B008  # frozen
        return build_plan(training, shell.settle(training, settings), settings, NOW)

    return plan
