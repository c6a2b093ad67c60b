"""A federation without processes: real keys, real signatures, real messages; a grid and a clock that are arguments."""

from contextlib import nullcontext
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from flwr.app import Array, ArrayRecord, ConfigRecord, Message, MetricRecord, RecordDict
from flwr.supercore.task_identity import TaskIdentity

from shieldwall.contract.policy import (
    AggregationPolicy,
    AppPolicy,
    ClientPolicy,
    FederationPolicy,
    RoundsPolicy,
    Rule,
    RuntimePolicy,
)
from shieldwall.contract.records import RoundGrant
from shieldwall.pki.authority import new_issuer, new_root
from shieldwall.pki.leaf import LeafRequest, issue
from shieldwall.pki.node_key import public_pem
from shieldwall.pki.pem import certificates_to_pem
from shieldwall.runtime.attestation.sign import sign
from shieldwall.runtime.federation.engine import Engine
from shieldwall.runtime.flower.inbox import Arrival
from shieldwall.runtime.flower.messages import ROUND_KEY, SEAL_KEY, RoundFacts, decode_packed, manifest_of
from shieldwall.runtime.flower.packing import pack

NOW = datetime(2026, 1, 1, tzinfo=UTC)
RUN_ID = 2**64 - 5
SILENT = object()


def new_key():
    return ec.generate_private_key(ec.SECP256R1())


@dataclass
class FakeClock:
    seconds: float = 0.0

    def now(self):
        return NOW + timedelta(seconds=self.seconds)

    def monotonic(self):
        return self.seconds

    def sleep(self, seconds):
        self.seconds += seconds


@dataclass
class FakeSteward:
    denied: tuple = ()
    opened: list = field(default_factory=list)
    closed: list = field(default_factory=list)

    def open(self, opening):
        self.opened.append(opening)
        return RoundGrant(denied=self.denied)

    def close(self, record):
        self.closed.append(record)


@dataclass
class Client:
    """An honest client; tests replace ``train``, ``sign`` or ``finish``."""

    name: str
    node_id: int
    key: object
    chain: bytes
    step: float
    facts: RoundFacts | None = None

    def train(self, arrays):
        return {name: (array + array.dtype.type(self.step)) for name, array in arrays.items()}

    def answer(self, message):
        """A sealed reply, as the trainer makes it; SILENT for none."""
        self.facts = RoundFacts.from_record(message.content[ROUND_KEY])
        trained = self.train(decode_packed(message.content["arrays"]))
        arrays = ArrayRecord(array_dict={name: Array(array) for name, array in trained.items()})
        content = RecordDict({"arrays": pack(arrays), "metrics": MetricRecord({"num-examples": 10, "loss": 0.5})})
        reply = Message(content, reply_to=message)
        self.sign(reply)
        return self.finish(reply)

    def sign(self, reply):
        manifest = manifest_of(reply.content, self.facts, self.node_id, reply.metadata.reply_to_message_id)
        reply.content[SEAL_KEY] = ConfigRecord(dict(sign(manifest, self.key, self.chain).to_record()))

    def finish(self, reply):
        return reply


class FakeGrid:
    """Answers at once by calling the clients; also the source of replies."""

    def __init__(self, clients):
        self.clients = {client.node_id: client for client in clients}
        self.run = SimpleNamespace(run_id=RUN_ID)
        self.arrivals = []
        self.sent = 0

    def get_nodes(self):
        return [
            SimpleNamespace(node_id=client.node_id, public_key=public_pem(client.node_key.public_key()).encode())
            for client in self.clients.values()
        ]

    def push_messages(self, messages):
        ids = []
        for message in messages:
            self.sent += 1
            message.metadata.__dict__["_message_id"] = f"message-{self.sent}"
            ids.append(message.metadata.message_id)
            reply = self.clients[message.metadata.dst_node_id].answer(message)
            if reply is not SILENT:
                self.arrivals.append(
                    reply if isinstance(reply, Arrival) else Arrival(message.metadata.message_id, reply)
                )
        return ids

    def poll(self, questions):
        wanted = set(questions)
        found = [arrival for arrival in self.arrivals if arrival.question in wanted]
        self.arrivals = []
        return found


class World:
    """A federation of ``n`` honest clients with steps 1, 2, … n hundredths."""

    silent = SILENT

    def __init__(self, tmp_path, n=5, **aggregation):
        self.root = new_root("root", new_key(), 1, NOW)
        self.federation = FederationPolicy(uid="uid-1", trust_domain="example.org", namespace="ns", name="digits")
        self.issuer = new_issuer(self.root, self.federation.id, new_key(), 2, NOW)
        self.clients = [self._client(position) for position in range(n)]
        self.policy = RuntimePolicy(
            federation=self.federation,
            app=AppPolicy(client_app="a:app", model="a:model"),
            rounds=RoundsPolicy(count=3, min_replies=min(3, n), timeout_seconds=60, grace_seconds=5),
            aggregation=AggregationPolicy(**({"rule": Rule.FED_TRIMMED_AVG, "byzantine": 1} | aggregation)),
            clients=[
                ClientPolicy(name=client.name, node_public_key=public_pem(client.node_key.public_key()))
                for client in self.clients
            ],
        )
        self.bundle = tmp_path / "ca.crt"
        self.bundle.write_text(certificates_to_pem([self.issuer.certificate]))
        self.clock, self.steward, self.log = FakeClock(), FakeSteward(), []
        self.grid = FakeGrid(self.clients)

    def _client(self, position):
        name = f"client-{position}"
        key = new_key()
        client = Client(name, 2**63 + position, key, self.chain_for(name, key), 0.01 * (position + 1))
        client.node_key = new_key()
        return client

    def chain_for(self, name, key, issuer=None):
        issuer = issuer or self.issuer
        request = LeafRequest(self.federation.id.client(name), (), timedelta(hours=24))
        leaf = issue(issuer, request, key.public_key(), 1000 + len(name) + hash(name) % 997, NOW)
        return certificates_to_pem([leaf, issuer.certificate]).encode()

    def engine(self, **policy):
        return Engine(
            grid=self.grid,
            policy=self.policy.model_copy(update=policy),
            steward=self.steward,
            bundle=self.bundle,
            clock=self.clock,
            random=lambda size: np.random.default_rng(len(self.steward.opened)).bytes(size),
            log=self.log.append,
            inbox=lambda grid, _: nullcontext(grid),
        )


@pytest.fixture
def world(tmp_path):
    TaskIdentity.run_id, TaskIdentity.node_id, TaskIdentity.task_id = RUN_ID, 1, 1
    return World(tmp_path)
