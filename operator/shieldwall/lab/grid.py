"""A Grid whose nodes answer in this process, honest ones and liars, around the pods' own round code."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from functools import cache
from types import SimpleNamespace
from typing import TYPE_CHECKING, Protocol

import numpy as np
from cryptography.hazmat.primitives.asymmetric import ec
from flwr.app import Array, ArrayRecord
from flwr.proto.node_pb2 import NodeInfo

from shieldwall.lab.attacks import PLANS, View
from shieldwall.lab.forgery import before_sealing, seal_or_not
from shieldwall.pki.node_key import public_pem
from shieldwall.runtime.admission import Update, check_update
from shieldwall.runtime.aggregation import TooFewUpdatesError, Updates, aggregate
from shieldwall.runtime.clientapp import take_facts
from shieldwall.runtime.flower.inbox import Arrival
from shieldwall.runtime.flower.messages import decode_packed, only_arrays
from shieldwall.runtime.model import Model, flatten, unflatten, update_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from flwr.app import Message, RecordDict
    from flwr.supercore.run import Run

    from shieldwall.contract.policy import AggregationPolicy, RuntimePolicy
    from shieldwall.lab.attacks import LabAttack
    from shieldwall.lab.attacks.view import Matrix, State, Vector
    from shieldwall.lab.notary import Signer
    from shieldwall.runtime.flower.messages import RoundFacts

RUN_ID = 1
_FIRST_NODE = 1
_REMEMBERED = 10
"""Global updates that free-riders keep."""


@dataclass(frozen=True, slots=True)
class Member:
    """One client of the federation."""

    name: str
    node_id: int
    attack: LabAttack | None = None
    signer: Signer | None = None
    """None where signatures are not required."""


@dataclass(frozen=True, slots=True)
class Asked:
    """One member, and what it was asked."""

    member: Member
    message: Message
    facts: RoundFacts


class Cohort(Protocol):
    """The clients' own code."""

    def answer(self, asked: Sequence[Asked]) -> list[Message]:
        """What each one answers, arrays by name and unsealed; an error reply where its app raises."""


def members_of(policy: RuntimePolicy, attackers: dict[str, LabAttack], signers: dict[str, Signer]) -> list[Member]:
    """The policy's clients, with what some of them are."""
    return [
        Member(client.name, node_id, attackers.get(client.name), signers.get(client.name))
        for node_id, client in enumerate(policy.clients, _FIRST_NODE)
    ]


@dataclass(slots=True)
class LabGrid:
    """Answers at once, and hands the answers out as an Inbox does."""

    members: Sequence[Member]
    cohort: Cohort
    aggregation: AggregationPolicy
    rng: np.random.Generator
    """Of the attackers; nothing else here is random."""
    run: SimpleNamespace = field(default_factory=lambda: SimpleNamespace(run_id=RUN_ID))
    evaluations: dict[int, list[RecordDict]] = field(default_factory=dict)
    """What honest clients answered to evaluations, by round."""
    _arrivals: list[Arrival] = field(default_factory=list)
    _sent: int = 0
    _base: Model | None = None
    _deltas: tuple[Vector, ...] = ()
    _states: dict[LabAttack, State] = field(default_factory=dict)
    _first: dict[str, RecordDict] = field(default_factory=dict)
    """First sealed replies, for replays."""

    def set_run(self, run: Run) -> None:
        """See Grid; there is one run."""

    def get_nodes(self) -> list[NodeInfo]:
        """All members, online."""
        return [
            NodeInfo(node_id=member.node_id, public_key=public_key(member.name).encode()) for member in self.members
        ]

    def push_messages(self, messages: Iterable[Message]) -> list[str]:
        """Have every message answered; the ids of the messages."""
        nodes = {member.node_id: member for member in self.members}
        asked, ids = [], []
        for message in messages:
            self._sent += 1
            message.metadata.__dict__["_message_id"] = f"message-{self._sent}"
            ids.append(message.metadata.message_id)
            asked.append(Asked(nodes[message.metadata.dst_node_id], message, take_facts(message)))
        replies = self._answers(asked)
        self._arrivals = [Arrival(question, reply) for question, reply in zip(ids, replies, strict=True)]
        return ids

    def poll(self, questions: Iterable[str]) -> list[Arrival]:
        """See Source."""
        wanted = set(questions)
        found = [arrival for arrival in self._arrivals if arrival.question in wanted]
        self._arrivals = []
        return found

    def _answers(self, asked: Sequence[Asked]) -> list[Message]:
        base = self._remember(asked)
        replies = self.cohort.answer(asked)
        if base is None:
            for each, reply in zip(asked, replies, strict=True):
                if each.member.attack is None and reply.has_content():
                    self.evaluations.setdefault(each.facts.round, []).append(reply.content)
        elif any(each.member.attack is not None for each in asked):
            self._lie(asked, replies, base)
        for each, reply in zip(asked, replies, strict=True):
            if reply.has_content():
                seal_or_not(each, reply, self._first, trained=base is not None)
        return replies

    def _remember(self, asked: Sequence[Asked]) -> Model | None:
        """The model that is trained from, None in an evaluation; what the last round made of it is kept."""
        if not asked or not asked[0].message.metadata.message_type.startswith("train"):
            return None
        model = Model.of(decode_packed(only_arrays(asked[0].message.content)[1]))
        if self._base is not None and self._base.schema == model.schema and self._base.sha256 != model.sha256:
            delta = update_of(model.arrays, self._base).astype(np.float64)
            self._deltas = (*self._deltas, delta)[-_REMEMBERED:]
        self._base = model
        return model

    def _lie(self, asked: Sequence[Asked], replies: Sequence[Message], base: Model) -> None:
        """Put what attackers send in the place of what their training gave."""
        trained = {
            each.member.name: (each.member.attack, vector)
            for each, reply in zip(asked, replies, strict=True)
            if (vector := self._vector(reply, base)) is not None
        }
        honest = _stack([vector for _, (attack, vector) in sorted(trained.items()) if attack is None], base)
        by_name = {each.member.name: reply for each, reply in zip(asked, replies, strict=True)}
        for kind in sorted({attack for attack, _ in trained.values() if attack is not None}):
            liars = sorted(name for name, (attack, _) in trained.items() if attack is kind)
            view = View(
                honest=honest,
                own=_stack([trained[name][1] for name in liars], base),
                deltas=self._deltas,
                round=asked[0].facts.round,
                rule=self._rule,
                rng=self.rng,
                state=self._states.get(kind, {}),
            )
            if not len(honest):
                continue  # nothing is known: they send what they have
            lies = PLANS[kind].craft(view)
            self._states[kind] = lies.state
            for name, update in zip(liars, lies.updates, strict=True):
                _send(by_name[name], update, base)
                before_sealing(kind, by_name[name])

    def _vector(self, reply: Message, base: Model) -> Vector | None:
        """The update in a reply, (d,); None where there is none that admission would let in."""
        if not reply.has_content() or len(reply.content.array_records) != 1:
            return None
        _, record = only_arrays(reply.content)
        arrays = {name: array.numpy() for name, array in record.items()}
        update = check_update(arrays, base, self.aggregation.reject_norm)
        return update.vector.astype(np.float64) if isinstance(update, Update) else None

    def _rule(self, rows: Matrix) -> Vector:
        try:
            return aggregate(Updates.of(list(rows)), self.aggregation).delta.astype(np.float64)
        except TooFewUpdatesError:
            mean: Vector = rows.mean(axis=0)
            return mean


@cache
def public_key(name: str) -> str:
    """A member's node key, SubjectPublicKeyInfo PEM. It follows from the name: here nobody proves to hold one."""
    secret = int.from_bytes(hashlib.sha256(f"laboratory {name}".encode()).digest()) % (2**255) + 1
    return public_pem(ec.derive_private_key(secret, ec.SECP256R1()))


def _stack(vectors: Sequence[Vector], base: Model) -> Matrix:
    return np.stack(vectors) if vectors else np.empty((0, base.schema.size))


def _send(reply: Message, update: Vector, base: Model) -> None:
    name, record = only_arrays(reply.content)
    own = {key: array.numpy() for key, array in record.items()}
    with np.errstate(over="ignore", invalid="ignore"):
        moved = (flatten(base.arrays, base.schema) + update).astype(base.schema.vector_dtype)
    arrays = unflatten(moved, own, base.schema)
    reply.content[name] = ArrayRecord(array_dict={key: Array(array) for key, array in arrays.items()})
