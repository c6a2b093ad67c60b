"""Sights of trainings, made from valid parts and changed one fact at a time."""

import dataclasses
import datetime as dt
import hashlib
import itertools

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from shieldwall.contract.identity import Federation
from shieldwall.contract.records import (
    ClientStatus,
    Fate,
    Outcome,
    Phase,
    ReplyRecord,
    RoundRecord,
    StewardStatus,
)
from shieldwall.control.api.parse import parse_training
from shieldwall.control.plan import PlanSettings, build_plan
from shieldwall.control.plan.names import Names
from shieldwall.control.plan.orders import Observed, Trust
from shieldwall.control.plan.outline import outline_of
from shieldwall.control.status.sight import Sight, Workload
from shieldwall.control.steward.sight import Probe, StewardSight
from shieldwall.pki.authority import new_issuer, new_root
from shieldwall.pki.leaf import LeafRequest, issue
from shieldwall.pki.serials import serial_text

NOW = dt.datetime(2026, 3, 1, 12, tzinfo=dt.UTC)
SERVED = object()


class World:
    """Makes Sights of one training; every part that a test does not name is as it is when all is well."""

    now = NOW

    def __init__(self):
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._serials = itertools.count(1 << 120)
        federation = Federation("cluster.local", "fed", "digits")
        root = new_root("test", self._key, next(self._serials), NOW)
        self._issuer = new_issuer(root, federation, self._key, next(self._serials), NOW, dt.timedelta(days=90))
        self._settled = {}

    def training(self, clients=3, *, spec=None, annotations=None, generation=1):
        return parse_training(
            {
                "apiVersion": "shieldwall.dev/v1alpha1",
                "kind": "FederatedTraining",
                "metadata": {
                    "name": "digits",
                    "namespace": "fed",
                    "uid": "1",
                    "generation": generation,
                    "annotations": annotations or {},
                },
                "spec": {
                    "app": {"image": "digits:1", "clientApp": "digits.app:client", "model": "digits.app:m"},
                    "rounds": {"count": 30},
                    "clients": [{"name": f"site-{number}"} for number in range(clients)],
                }
                | (spec or {}),
            }
        )

    def observed(self, training):
        """What there is when every order was filled; leaves are issued once for each number of clients."""
        size = len(training.spec.clients)
        if size not in self._settled:
            issuer = self._issuer.certificate
            first = Observed(issuer=issuer, trust=Trust("bundle\n", "crl\n"))
            plan = build_plan(training, first, PlanSettings(), NOW)
            self._settled[size] = dataclasses.replace(
                first,
                leaves={order.secret: self.leaf(order) for order in plan.certificates},
                node_keys={order.client: f"key of {order.client}\n" for order in plan.node_keys},
                shared_secrets=frozenset(order.secret for order in plan.shared_secrets),
            )
        return self._settled[size]

    def leaf(self, order, now=NOW):
        request = LeafRequest(order.identity, order.dns_names, order.lifetime)
        return issue(self._issuer, request, self._key.public_key(), next(self._serials), now)

    def renew(self, observed, secret, now):
        """The same with a new leaf in one Secret."""
        training = self.training(len(observed.node_keys))
        rest = {name: leaf for name, leaf in observed.leaves.items() if name != secret}
        plan = build_plan(training, dataclasses.replace(observed, leaves=rest), PlanSettings(), now)
        new = next(self.leaf(order, now) for order in plan.certificates if order.secret == secret)
        return dataclasses.replace(observed, leaves=rest | {secret: new})

    def workloads(self, training, **changes):
        names, wanted = Names(training.name), 0 if training.spec.suspend else 1
        parts = [names.server, names.aggregator, *(names.client(client.name) for client in training.spec.clients)]
        return {name: Workload(wanted, wanted, current=True) for name in parts} | changes

    def reply(self, client, **facts):
        fate = facts.pop("fate", Fate.ADMITTED)
        signed = {"serial": "ab12", "flags": ()} if fate is Fate.ADMITTED else {}
        return ReplyRecord(client=client, node_id="7", fate=fate, **(signed | facts))

    def record(self, training, replies=None, **facts):
        if replies is None:
            replies = tuple(self.reply(client.name) for client in training.spec.clients)
        usual = {
            "run_id": "1",
            "round": 7,
            "attempt": 1,
            "outcome": Outcome.RELEASED,
            "opened": 0.0,
            "seconds": 1.0,
            "rule": training.spec.aggregation.rule.value,
            "pre_aggregation": training.spec.pre_aggregation,
            "admitted": sum(reply.fate is Fate.ADMITTED for reply in replies),
            "byzantine": training.spec.aggregation.tolerated,
            "replies": replies,
            "innovation_floor": 0.01,
        }
        return RoundRecord(**(usual | facts))

    def client(self, observed, name, **facts):
        serial = serial_text(observed.leaves[Names("digits").client_tls(name)].serial_number)
        return ClientStatus(**({"name": name, "online": True, "serial": serial, "admitted": 7} | facts))

    def policy_sha256(self, training, observed):
        objects = build_plan(training, observed, PlanSettings(), self.now).objects
        policy = next(each for each in objects if each.metadata.name == Names(training.name).policy)
        return hashlib.sha256(policy.data["policy.json"].encode()).hexdigest()

    def steward(self, training, observed, last_round=SERVED, status=None, **facts):
        """A steward that trains and has seen every leaf in use; ``status`` changes what it says."""
        names = Names(training.name)
        clients = tuple(self.client(observed, client.name) for client in training.spec.clients)
        said = {
            "phase": Phase.TRAINING,
            "message": "7 of 30 rounds are released.",
            "run_id": "1",
            "runs_started": 1,
            "round": 7,
            "rounds": 30,
            "records": 7,
            "metrics": {"accuracy": 0.91},
            "model_sha256": "ab" * 32,
            "clients": clients,
            "denials": (),
            "handshakes": {},
            "aggregator_serial": serial_text(observed.leaves[names.aggregator_tls].serial_number),
            "policy_sha256": self.policy_sha256(training, observed),
        }
        usual = {
            "seen": self.now,
            "status": StewardStatus(**(said | (status or {}))),
            "last_round": self.record(training) if last_round is SERVED else last_round,
            "server_serial": serial_text(observed.leaves[names.server_tls].serial_number),
            "without_certificate": Probe.REFUSED,
            "closed_port": Probe.REFUSED,
        }
        return StewardSight(**(usual | facts))

    def sight(self, training=None, **facts):
        """A Sight in which all is well but for ``facts``."""
        training = training if training is not None else self.training()
        observed = facts.pop("observed", None) or self.observed(training)
        now = facts.get("now", self.now)
        plan = build_plan(training, observed, PlanSettings(), now)
        usual = {
            "now": now,
            "plan": plan,
            "outline": outline_of(training.name, plan.objects),
            "observed": observed,
            "workloads": self.workloads(training),
        }
        if "steward" not in facts:
            usual["steward"] = self.steward(training, observed)
        return Sight(training=training, **(usual | facts))


_WORLD = World()


@pytest.fixture
def world():
    return _WORLD


@pytest.fixture
def condition():
    """One condition of a status, by its type."""
    return lambda status, name: next(each for each in status.conditions if each.type == name)


@pytest.fixture
def check():
    """One check of the score, by its name."""
    return lambda status, name: next(each for each in status.security.checks if each.name == name)


@pytest.fixture
def dumped():
    """A status as the API server holds it."""
    return lambda status: status.model_dump(mode="json", by_alias=True, exclude_none=True)
