"""Canaries: clients and records whose presence moves a release as far as any can, and what becomes of them.

Each slot holds one of two canaries, by a coin: +v or −v, far longer than the clip and in a direction of the slot's own,
in every round. What is released along that direction is all that there is to know about the coin.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from flwr.app import Array, ArrayRecord, Message, MetricRecord, RecordDict

from shieldwall.contract.policy import AggregationPolicy, Rule
from shieldwall.contract.privacy import PrivacyMode
from shieldwall.contract.theorem import trim
from shieldwall.lab.privacy.attacked import fitted, guarantee
from shieldwall.lab.privacy.auditing import LowerBound, lower_bound, slots_for
from shieldwall.lab.privacy.sightings import replied
from shieldwall.lab.tasks import NETWORK
from shieldwall.runtime.aggregation import Updates, aggregate
from shieldwall.runtime.flower.messages import ARRAYS_KEY, EXAMPLES_KEY, only_arrays
from shieldwall.runtime.privacy import dp_sgd
from shieldwall.runtime.privacy.central import CentralNoise

if TYPE_CHECKING:
    from flwr.app import Context
    from numpy.typing import NDArray

    from shieldwall.contract.policy import RuntimePolicy
    from shieldwall.contract.privacy import PrivacyPolicy
    from shieldwall.lab.privacy.attacked import Guarantee
    from shieldwall.lab.privacy.auditing import Coins

    Scores = NDArray[np.float64]

LONG: Final = 10.0
"""Of a canary, in clips: that it is clipped is part of what is audited."""
SILENCE: Final = 1e-6
"""What the noise is multiplied by where it is switched off."""
_TOGETHER: Final = 1024
"""Slots that one client's records hold: a step's gradients are as many rows of as many values."""


@dataclass(frozen=True, slots=True)
class Audit:
    """What was accounted for, and what an attacker proved."""

    accounted: Guarantee
    bound: LowerBound

    @property
    def holds(self) -> bool:
        """Whether what was proved is no more than what was accounted for."""
        return self.bound.epsilon <= self.accounted.epsilon


def audit(policy: RuntimePolicy, privacy: PrivacyPolicy, seed: int, *, silent: bool = False) -> Audit:
    """Run every round of the policy on canaries; ``silent``: with the noise switched off, and nobody told.

    Raises NoAuditError where no number of canaries could refute what is accounted for.
    """
    own = fitted(privacy, _TOGETHER, policy.rounds.count)
    accounted = guarantee(own, policy.rounds.count)
    rng = np.random.default_rng([seed, 8])
    scores_of, fewest = _SCORES[own.mode]
    slots = max(fewest, 2 * slots_for(accounted.epsilon, accounted.delta))
    coins = rng.random(slots) < 1 / 2
    run = own.model_copy(update={"noise_multiplier": own.noise_multiplier * SILENCE}) if silent else own
    scores = scores_of(policy, run, coins, rng)
    return Audit(accounted, lower_bound(scores, coins, accounted.delta))


def record_scores(policy: RuntimePolicy, privacy: PrivacyPolicy, coins: Coins, rng: np.random.Generator) -> Scores:
    """What clients whose every record is a canary send, added up over the rounds and read slot by slot, (m,)."""
    scores = np.zeros(len(coins))
    for start in range(0, len(coins), _TOGETHER):
        span = slice(start, start + _TOGETHER)
        signs = np.where(coins[span], 1.0, -1.0).astype(np.float32)
        nothing = np.zeros(len(signs), np.float32)
        for _ in range(policy.rounds.count):
            scores[span] += replied(CanaryRecords(signs, LONG * privacy.clip), nothing, privacy, rng)
    return scores


@dataclass(frozen=True, slots=True, eq=False)
class CanaryRecords:
    """A ClientApp whose i-th record has a gradient along the i-th axis only."""

    signs: NDArray[np.float32]
    length: float

    def __call__(self, message: Message, _: Context) -> Message:
        """Gradient descent uphill, so that what is sent has the canaries' own signs."""
        moved, private = only_arrays(message.content)[1][NETWORK].numpy().copy(), dp_sgd.current()
        for batch in private.batches(len(self.signs)):
            rows = np.zeros((len(batch), len(self.signs)), np.float32)
            rows[np.arange(len(batch)), batch] = self.length * self.signs[batch]
            moved += private.gradient(rows)
        return _reply(message, moved)


def local_scores(policy: RuntimePolicy, privacy: PrivacyPolicy, coins: Coins, rng: np.random.Generator) -> Scores:
    """What clients that are canaries send, each added up over the rounds, (m,)."""
    nothing = np.zeros(1, np.float32)
    return np.array(
        [
            sum(
                float(replied(_canary_client(coin, privacy), nothing, privacy, rng)[0])
                for _ in range(policy.rounds.count)
            )
            for coin in coins
        ]
    )


def _canary_client(coin: np.bool_, privacy: PrivacyPolicy) -> Any:  # noqa: ANN401  # a ClientApp
    update = np.full(1, (1 if coin else -1) * LONG * privacy.clip, np.float32)
    return lambda message, _: _reply(message, update)


def central_scores(policy: RuntimePolicy, privacy: PrivacyPolicy, coins: Coins, rng: np.random.Generator) -> Scores:
    """What as many federations release, with a canary for a client each, added up over the rounds, (m,).

    Other clients stand where the rule lets the canary move its result furthest. What a federation aggregates is the
    same in all rounds, so its rule is asked once for each coin; noise is drawn for each release.
    """
    n = len(policy.clients)
    noise = CentralNoise(privacy, privacy.clip, rng)
    clipping = noise.clipping(policy.aggregation)
    moved, norms = {}, (0.0,) * n
    for coin in (True, False):
        canary = (1 if coin else -1) * LONG * privacy.clip
        updates = Updates.of(
            [np.array([value]) for value in (canary, *bystanders(policy.aggregation, n, privacy.clip))]
        )
        moved[coin], norms = float(aggregate(updates, clipping, noise.seed()).delta[0]), updates.norms
    scores = np.zeros(len(coins))
    for _ in range(policy.rounds.count):
        released = np.where(coins, moved[True], moved[False])
        noise.noise(released, norms, clipping)
        scores += released
    return scores


def bystanders(policy: AggregationPolicy, n: int, clip: float) -> list[float]:
    """Where the other n − 1 clients stand, on the canary's axis, so that the rule passes on all of its move.

    A rule that cuts k values at each end keeps the one that crosses from end to end, if k others wait at either.
    """
    match policy.rule:
        case Rule.FED_TRIMMED_AVG:
            cut = trim(n, policy.byzantine, policy.beta)
        case Rule.FED_MEDIAN:
            cut = (n - 1) // 2
        case _:
            cut = 0
    return [clip] * cut + [-clip] * cut + [0.0] * (n - 1 - 2 * cut)


def _reply(question: Message, update: NDArray[Any]) -> Message:
    content = ArrayRecord(array_dict={NETWORK: Array(update)})
    return Message(RecordDict({ARRAYS_KEY: content, "metrics": MetricRecord({EXAMPLES_KEY: 1})}), reply_to=question)


_SCORES: Final = {
    PrivacyMode.RECORD_LEVEL: (record_scores, 8192),
    PrivacyMode.CLIENT_LEVEL_LOCAL: (local_scores, 2048),
    PrivacyMode.CLIENT_LEVEL_CENTRAL: (central_scores, 8192),
}
"""How slots are read, and how many there are at least: more of them bound ε more closely."""
