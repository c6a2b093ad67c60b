"""A federation in one process, some of its clients free-riders, watched by the very code that runs in the pods."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from functools import partial
from typing import TYPE_CHECKING, Final

import learning
import numpy as np

from shieldwall.contract.policy import AggregationPolicy, ContributionPolicy, Rule, ValidationPolicy
from shieldwall.contract.records import Fate, Outcome, ReplyRecord, RoundRecord
from shieldwall.local.attackers.freeriders import DISGUISE, Seen, free_ride
from shieldwall.runtime.aggregation import Updates, aggregate
from shieldwall.runtime.aggregation.gram import inner_products
from shieldwall.runtime.contribution.conduct import Court, after_record, banned_keys
from shieldwall.runtime.contribution.evidence import weigh
from shieldwall.runtime.contribution.marks import Marks
from shieldwall.runtime.contribution.sketch import sketches
from shieldwall.runtime.validation.outliers import Past, judge, relative

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from shieldwall.local.attackers import AttackKind
    from shieldwall.runtime.contribution.conduct import Conduct
    from shieldwall.runtime.contribution.evidence import RoundEvidence
    from shieldwall.runtime.validation.outliers import Judgement

    Floats = NDArray[np.float32]

DELTAS: Final = 10
_PAST: Final = 20


class Old(StrEnum):
    """What is made of the global model's steps from before the last ten."""

    STEP = "step"
    MIXTURE = "mixture"
    DISGUISED = "disguised"


@dataclass(frozen=True)
class Job:
    """One training."""

    kind: AttackKind | None
    alpha: float
    seed: int
    clients: int = 15
    byzantine: int = 3
    """f, and how many free-riders there are."""
    epochs: int = 2
    rounds: int = 30
    old: Old | None = None
    """What the free-riders take, as soon as there is such a step; they work before."""


@dataclass
class Result:
    """What became of it."""

    job: Job
    banned: dict[int, int] = field(default_factory=dict)
    """The round of the first ban, by client; the first ``byzantine`` clients are the free-riders, if any."""
    struck: set[int] = field(default_factory=set)
    """Clients that ever had strikes enough for a ban, also where f were banned already."""
    honest: int = 0
    """Updates of honest clients."""
    refused: int = 0
    """Those of them that validation refused."""
    accuracy: float = 0.0

    @property
    def riders(self) -> range:
        """The free-riders."""
        return range(self.job.byzantine if self.job.kind is not None or self.job.old is not None else 0)


class Federation:
    """The state of one training."""

    def __init__(self, job: Job) -> None:
        self.job, self.result = job, Result(job)
        random = np.random.default_rng([job.seed, 7])
        (self.pixels, self.labels), self.held_out = learning.images()
        self.parts = learning.partition(self.labels, job.clients, job.alpha, random)
        self.base = learning.initial(random)
        self.marks = Marks.fresh(learning.SIZE, random.bytes)
        self.draws = np.random.default_rng([job.seed, 8])
        self.seen = {i: Seen(()) for i in self.result.riders}
        self.deltas: list[Floats] = []
        self.conducts: Mapping[str, Conduct] = {}
        self.pasts: dict[int, list[tuple[float, float]]] = {}

    def run(self) -> Result:
        """Train to the end."""
        for number in range(1, self.job.rounds + 1):
            self._round(number)
        self.result.accuracy = learning.accuracy(self.base, *self.held_out)
        return self.result

    def _round(self, number: int) -> None:
        job, banned = self.job, banned_keys(self.conducts)
        clients = [i for i in range(job.clients) if _key(i) not in banned]
        updates = [self._update(i, number) for i in clients]
        gram = inner_products([*updates, *self.deltas[-DELTAS:]])
        keyed = {_key(i): update for i, update in zip(clients, updates, strict=True)}
        found = sketches([*updates, *self.deltas[-1:]], self.marks.seed)
        rows = dict(zip(keyed, found.values, strict=False))
        rounding = float(np.finfo(np.float32).eps * np.linalg.norm(self.base))
        moving = int(np.median(found.moving[: len(clients)]))
        self.marks = self.marks.after_step(found.values[-1] if self.deltas else None, number)
        replays = self.marks.replays(list(rows.values()), moving)
        repeats = self.marks.repeats(rows, number, rounding)
        self.marks = self.marks.after(rows, number)
        evidence = weigh(gram, len(clients), moving, list(repeats.values()), replays, job.byzantine - 1)
        judged = self._judge(gram[: len(clients), : len(clients)], clients, evidence)
        court = Court(ContributionPolicy(), job.byzantine, job.clients - job.byzantine)
        self.conducts = after_record(self.conducts, _record(number, clients, evidence, judged), court)
        self.result.struck |= {
            int(key) for key, conduct in self.conducts.items() if conduct.strikes >= court.policy.strikes
        }
        for key in banned_keys(self.conducts):
            self.result.banned.setdefault(int(key), number)
        self._aggregate([update for update, one in zip(updates, judged, strict=True) if one.refusal is None])

    def _update(self, client: int, number: int) -> Floats:
        random = np.random.default_rng([self.job.seed, client, number])
        part = self.parts[client]
        honest = partial(learning.train, self.base, self.pixels[part], self.labels[part], self.job.epochs, random)
        old = self.deltas[:-DELTAS] if client in self.seen else []
        if self.job.old is not None and len(old) > 1:
            update = _taken(self.job.old, old, self.deltas[-1], random)
        elif client not in self.seen or self.job.kind is None:
            update = honest()
        else:
            seen = self.seen[client].sent(self.base.astype(np.float64))
            update, self.seen[client] = free_ride(self.job.kind, seen, lambda: honest().astype(np.float64), random)
        return (self.base + update).astype(np.float32) - self.base

    def _judge(
        self, gram: NDArray[np.float64], clients: Sequence[int], evidence: RoundEvidence
    ) -> tuple[Judgement, ...]:
        pasts = [
            Past(*(tuple(values) for values in zip(*self.pasts[i][-_PAST:], strict=True)))
            if i in self.pasts
            else Past()
            for i in clients
        ]
        spare = len(clients) - self.job.clients + self.job.byzantine
        judged = judge(gram, ValidationPolicy(), pasts, spare, self.draws.bytes(16))
        norms = relative([float(value) for value in np.sqrt(np.diag(gram))])
        spreads = relative([one.spread or 0.0 for one in judged])
        for i, one, shown, norm, spread in zip(clients, judged, evidence.updates, norms, spreads, strict=True):
            if one.refusal is None and not shown.flags:
                self.pasts.setdefault(i, []).append((norm, spread))
            if i not in self.seen:
                self.result.honest += 1
                self.result.refused += one.refusal is not None
        return judged

    def _aggregate(self, updates: Sequence[Floats]) -> None:
        policy = AggregationPolicy(rule=Rule.FED_TRIMMED_AVG, byzantine=self.job.byzantine)
        new = (self.base + aggregate(Updates.of(updates), policy).delta).astype(np.float32)
        self.deltas.append(new - self.base)
        self.base = new


def _taken(what: Old, old: Sequence[Floats], last: Floats, random: np.random.Generator) -> Floats:
    """An update made of ``old`` steps, (d,) each: as long as the ``last`` one where it has no length of its own."""
    if what is Old.STEP:
        return old[-2]
    if what is Old.MIXTURE:
        mixed = np.tensordot(random.normal(size=len(old)), np.stack(old), 1)
        return (mixed * np.linalg.norm(last) / np.linalg.norm(mixed)).astype(np.float32)
    noise = random.normal(size=old[-2].size)
    return (old[-2] + DISGUISE * np.linalg.norm(old[-2]) / np.linalg.norm(noise) * noise).astype(np.float32)


def run(job: Job) -> Result:
    """One training from its start to its end."""
    return Federation(job).run()


def _record(number: int, clients: Sequence[int], evidence: RoundEvidence, judged: Sequence[Judgement]) -> RoundRecord:
    replies = tuple(
        ReplyRecord(
            client=_key(i),
            node_id=str(i),
            node_key=_key(i),
            fate=one.refusal.fate if one.refusal is not None else Fate.ADMITTED,
            innovation=shown.innovation,
            flags=shown.flags,
        )
        for i, shown, one in zip(clients, evidence.updates, judged, strict=True)
    )
    return RoundRecord(
        run_id="1",
        round=number,
        attempt=1,
        outcome=Outcome.RELEASED,
        opened=0.0,
        seconds=0.0,
        rule="FedTrimmedAvg",
        admitted=sum(one.refusal is None for one in judged),
        byzantine=0,
        replies=replies,
        innovation_floor=evidence.floor,
    )


def _key(client: int) -> str:
    return f"{client:02}"
