"""Attacks on the message rather than on the update: what is claimed, how arrays look, and who signs for it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
from flwr.app import Array, ArrayRecord, MetricRecord, RecordDict

from shieldwall.lab.attacks import LabAttack
from shieldwall.runtime.clientapp import pack_arrays, seal
from shieldwall.runtime.flower.messages import EXAMPLES_KEY, SEAL_KEY, decode_packed, only_arrays
from shieldwall.runtime.flower.packing import pack

if TYPE_CHECKING:
    from flwr.app import Message

    from shieldwall.lab.grid import Asked

INFLATED: Final = 10**12
_ALTERATION: Final = 0.25


def before_sealing(kind: LabAttack, reply: Message) -> None:
    """What a client with a valid key spoils before it has its reply signed."""
    name, record = only_arrays(reply.content)
    arrays = {key: array.numpy().copy() for key, array in record.items()}
    first = next(iter(arrays))
    match kind:
        case LabAttack.NAN | LabAttack.INFINITY:
            arrays[first].reshape(-1)[0] = np.nan if kind is LabAttack.NAN else np.inf
        case LabAttack.WRONG_SHAPE:
            arrays[first] = np.append(arrays[first].reshape(-1), arrays[first].reshape(-1)[:1])
        case LabAttack.WRONG_NAMES:
            arrays = {f"{key}?" if key == first else key: array for key, array in arrays.items()}
        case LabAttack.INFLATED_EXAMPLES:
            for key, metrics in reply.content.metric_records.items():
                reply.content[key] = MetricRecord({**metrics, EXAMPLES_KEY: INFLATED})
            return
        case _:
            return
    reply.content[name] = ArrayRecord(array_dict={key: Array(array) for key, array in arrays.items()})


def seal_or_not(asked: Asked, reply: Message, first: dict[str, RecordDict], *, trained: bool) -> None:
    """Seal a reply as a trainer does, or as an attacker on the seal does; ``first`` remembers replies to replay."""
    member, kind = asked.member, asked.member.attack if trained else None
    if member.signer is None:
        pack_arrays(reply)
    else:
        seal(reply, asked.facts, member.node_id, member.signer.sign)
    match kind:
        case LabAttack.UNSIGNED:
            reply.content.pop(SEAL_KEY, None)
        case LabAttack.ALTERED:
            name, record = only_arrays(reply.content)
            altered = {
                key: np.add(value, _ALTERATION, dtype=value.dtype) for key, value in decode_packed(record).items()
            }
            reply.content[name] = pack({key: Array(array) for key, array in altered.items()})
        case LabAttack.REPLAYED:
            reply.content = first.setdefault(member.name, reply.content)
        case LabAttack.IMPOSTOR:
            reply.metadata.__dict__["_src_node_id"] = member.node_id ^ 1
        case _:
            pass
