"""A turned trainer: its owner holds valid keys, so its replies are validly signed unless the attack says otherwise."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
from flwr.app import Array, ArrayRecord
from flwr.common.serde import recorddict_from_proto, recorddict_to_proto
from flwr.proto.recorddict_pb2 import RecordDict as RecordDictProto

from shieldwall.contract.paths import Paths
from shieldwall.local.attackers.freeriders import FREE_RIDERS, Seen, flat, free_ride, shaped
from shieldwall.local.attackers.kinds import AttackKind
from shieldwall.local.attackers.labels import flip_labels
from shieldwall.local.attackers.updates import POISONS
from shieldwall.runtime import clientapp
from shieldwall.runtime.flower import trainer
from shieldwall.runtime.flower.messages import SEAL_KEY, RoundFacts, decode_packed, only_arrays
from shieldwall.runtime.flower.packing import pack

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from flwr.app import Context, Message
    from numpy.typing import NDArray

_ALTERATION: Final = 0.25


class AttackingClientApp(clientapp.SealingClientApp):
    """The user's app, whose reply is spoilt before or after it is signed."""

    def __init__(self, kind: AttackKind, memory: Path, check_labels: Callable[[], None]) -> None:
        super().__init__()
        self._kind, self._memory, self._check_labels = kind, memory, check_labels
        self._base: dict[str, NDArray[Any]] = {}

    def __call__(self, message: Message, context: Context) -> Message:
        """Remember the model that was sent, then answer as an attacker does."""
        self._base = decode_packed(only_arrays(message.content)[1])
        return super().__call__(message, context)

    def seal(self, reply: Message, facts: RoundFacts, node_id: int) -> None:
        """Spoil the reply; see AttackKind."""
        if reply.metadata.message_type != "train":
            super().seal(reply, facts, node_id)
            return
        if self._kind is AttackKind.LABEL_FLIP:
            self._check_labels()
        if (poison := POISONS.get(self._kind)) is not None:
            name, record = only_arrays(reply.content)
            honest = {key: array.numpy() for key, array in record.items()}
            reply.content[name] = _record(poison(self._base, honest, np.random.default_rng()))
        if self._kind in FREE_RIDERS:
            self._ride(reply)
        if self._kind is AttackKind.REPLAYED and self._memory.exists():
            stored = RecordDictProto.FromString(self._memory.read_bytes())
            reply.content = recorddict_from_proto(stored)
            return
        super().seal(reply, facts, node_id)
        self._after_sealing(reply)

    def _ride(self, reply: Message) -> None:
        """Put what a free-rider sends in the place of the update; the user's app has trained all the same."""
        name, record = only_arrays(reply.content)
        base, honest = flat(self._base), flat({key: array.numpy() for key, array in record.items()})
        seen = Seen.load(self._memory).sent(base)
        update, seen = free_ride(self._kind, seen, lambda: honest - base, np.random.default_rng())
        seen.save(self._memory)
        reply.content[name] = _record(shaped(base + update, self._base))

    def _after_sealing(self, reply: Message) -> None:
        if self._kind is AttackKind.UNSIGNED:
            reply.content.pop(SEAL_KEY)
        elif self._kind is AttackKind.ALTERED:
            name, record = only_arrays(reply.content)
            signed = decode_packed(record)
            altered = {key: np.add(value, _ALTERATION, dtype=value.dtype) for key, value in signed.items()}
            reply.content[name] = pack(_record(altered))
        elif self._kind is AttackKind.REPLAYED:
            self._memory.write_bytes(recorddict_to_proto(reply.content).SerializeToString())


def _record(arrays: Mapping[str, NDArray[Any]]) -> ArrayRecord:
    return ArrayRecord(array_dict={name: Array(array) for name, array in arrays.items()})


def run_trainer(kind: AttackKind) -> int:
    """The role ``trainer`` with the attacking app in the place of ours."""
    check_labels = flip_labels() if kind is AttackKind.LABEL_FLIP else _nothing
    home = Paths.of_this_container().home
    home.mkdir(parents=True, exist_ok=True)
    clientapp.app = AttackingClientApp(kind, home / "remembered.bin", check_labels)
    return trainer.main([])


def _nothing() -> None:
    """No labels to check."""
