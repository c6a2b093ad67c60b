"""Looks at a round's admitted updates together: outliers are refused, and what tells a free-rider is put on record."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING, Final

import numpy as np
from cryptography.hazmat.primitives import serialization

from shieldwall.contract.records import Fate, Outcome
from shieldwall.runtime.aggregation.gram import inner_products
from shieldwall.runtime.contribution.evidence import Evidence, weigh
from shieldwall.runtime.contribution.memory import Memory
from shieldwall.runtime.contribution.vectors import rounding_of
from shieldwall.runtime.federation.judge import Refused
from shieldwall.runtime.validation.outliers import Judgement, Past, judge, relative

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    from shieldwall.contract.policy import RuntimePolicy
    from shieldwall.contract.records import RoundRecord
    from shieldwall.runtime.checkpoint import CheckpointStore
    from shieldwall.runtime.model import Model, Vector

DIRECTORY: Final = "contribution"
_PAST_ROUNDS: Final = 20
_DRAW_BYTES: Final = 16


@dataclass(frozen=True, slots=True, eq=False)
class Inspection:
    """What was found of each client, by name."""

    refused: Mapping[str, Refused] = field(default_factory=dict)
    facts: Mapping[str, Mapping[str, object]] = field(default_factory=dict)
    """Fields of its ReplyRecord."""
    floor: float | None = None
    """``innovation_floor`` of the RoundRecord."""
    gram: NDArray[np.float64] | None = None
    """Inner products of the updates, in the order they were given in; None when nobody looked."""


class Inspector:
    """The round's inspector, by one policy.

    Args:
        policy: what is looked for.
        memory: what contribution is told by.
        records: every committed record, oldest first.
        random: ``random(n)`` gives n unpredictable bytes.
        threads: on how many the inner products are made.
    """

    def __init__(
        self,
        policy: RuntimePolicy,
        memory: Memory,
        records: Callable[[], Sequence[RoundRecord]],
        random: Callable[[int], bytes],
        threads: int = 1,
    ) -> None:
        self._policy = policy
        self._memory = memory
        self._records = records
        self._random = random
        self._threads = threads
        self._keys = {client.name: key_sha256(client.node_public_key) for client in policy.clients}

    def inspect(self, updates: Mapping[str, Vector], base: Model, round_: int, needed: int) -> Inspection:
        """Look at the updates, (d,) each and by client's name, of the replies admitted in ``round_``.

        ``needed`` replies must be left; the deltas and updates of earlier rounds are read block by block.
        """
        names, contribution = list(updates), self._policy.contribution
        if not names:
            return Inspection()
        deltas = {} if contribution is None else self._memory.deltas(base, round_)
        gram = inner_products([*updates.values(), *deltas.values()], threads=self._threads)
        judged = self._judge(gram[: len(names), : len(names)], names, needed)
        floor: float | None = None
        shown: dict[str, Evidence] = {}
        if contribution is not None:
            floor, shown = self._weigh(gram, updates, base, deltas.get(round_), round_)
        refused = {
            name: Refused(one.refusal.fate, one.refusal.detail)
            for name, one in zip(names, judged, strict=True)
            if one.refusal is not None
        }
        lengths = np.sqrt(np.diag(gram))
        facts = {
            name: _facts(one, shown.get(name), self._keys.get(name), float(length))
            for name, one, length in zip(names, judged, lengths, strict=False)
        }
        return Inspection(refused, facts, floor, gram[: len(names), : len(names)])

    def _judge(self, gram: NDArray[np.float64], names: Sequence[str], needed: int) -> tuple[Judgement, ...]:
        policy = self._policy.validation
        if policy is None:
            return (Judgement(None, None, None, None),) * len(names)
        pasts = pasts_of(self._records())
        known = [pasts.get(self._keys.get(name, ""), Past()) for name in names]
        return judge(gram, policy, known, len(names) - needed if policy.reject else 0, self._random(_DRAW_BYTES))

    def _weigh(
        self, gram: NDArray[np.float64], updates: Mapping[str, Vector], base: Model, step: Vector | None, round_: int
    ) -> tuple[float | None, dict[str, Evidence]]:
        keys = [self._keys.get(name, name) for name in updates]
        keyed = dict(zip(keys, updates.values(), strict=True))
        recalled = self._memory.recall(keyed, round_, rounding_of(base), step, self._threads)
        repeats, replays = ([found[key] for key in keys] for found in (recalled.repeats, recalled.replays))
        accomplices = max(self._policy.aggregation.byzantine - 1, 0)
        found = weigh(gram, len(updates), recalled.moving, repeats, replays, accomplices)
        return found.floor, dict(zip(updates, found.updates, strict=True))


def inspector_for(
    policy: RuntimePolicy,
    store: CheckpointStore,
    random: Callable[[int], bytes],
    threads: int,
    log: Callable[[str], None],
) -> Inspector | None:
    """The inspector that ``policy`` asks for; None when it asks for none."""
    if policy.validation is None and policy.contribution is None:
        return None
    memory = Memory(store.directory / DIRECTORY, random, log)
    return Inspector(policy, memory, lambda: store.records, random, threads)


def key_sha256(public_key: str) -> str:
    """SHA-256 (hex) of a node key: of its SubjectPublicKeyInfo DER, as the steward's registry has it."""
    key = serialization.load_pem_public_key(public_key.encode())
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    return hashlib.sha256(key.public_bytes(serialization.Encoding.DER, form)).hexdigest()


def pasts_of(records: Sequence[RoundRecord]) -> dict[str, Past]:
    """What each node key's updates were in the last released rounds that validation looked at.

    A round that showed something against an update says nothing of what is usual for its client.
    """
    norms: dict[str, list[float]] = {}
    spreads: dict[str, list[float]] = {}
    released = (record for record in reversed(records) if record.outcome is Outcome.RELEASED)
    for record in islice(released, _PAST_ROUNDS):
        seen = [reply for reply in record.replies if reply.spread is not None and reply.norm is not None]
        relative_norms = relative([reply.norm or 0.0 for reply in seen]) if seen else ()
        relative_spreads = relative([reply.spread or 0.0 for reply in seen]) if seen else ()
        for reply, norm, spread in zip(seen, relative_norms, relative_spreads, strict=True):
            if reply.node_key is not None and reply.fate is Fate.ADMITTED and not reply.flags:
                norms.setdefault(reply.node_key, []).append(norm)
                spreads.setdefault(reply.node_key, []).append(spread)
    return {key: Past(tuple(norms[key]), tuple(spreads[key])) for key in norms}


def _facts(one: Judgement, shown: Evidence | None, key: str | None, length: float) -> dict[str, object]:
    facts: dict[str, object] = {"node_key": key, "norm": length if np.isfinite(length) else None}
    facts |= {"spread": one.spread, "norm_z": one.norm_z, "distance_z": one.distance_z}
    if shown is not None:
        facts |= {
            "innovation": shown.innovation,
            "likeness": shown.likeness,
            "agreement": shown.agreement,
            "flags": shown.flags,
        }
    return facts
