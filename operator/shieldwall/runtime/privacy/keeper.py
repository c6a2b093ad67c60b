"""Holds a training to its policy's ε: what is refused, what is spent when, and how privacy stands.

Local modes spend when clients are asked, for each may answer; ClientLevelCentral when a model has got its noise. Every
line is on disk before anybody, the user's code in this process too, sees what it pays for.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from shieldwall.contract.privacy import PrivacyMode, PrivacyRecord, Spend
from shieldwall.runtime.privacy.central import CentralNoise, Noised, clip_in_force, signal_to_noise
from shieldwall.runtime.privacy.dp_sgd import SENSITIVITY
from shieldwall.runtime.privacy.errors import BudgetSpentError
from shieldwall.runtime.privacy.ledger import charged, epsilon_spent, rounds_left
from shieldwall.runtime.privacy.record_level import RecordLevel
from shieldwall.runtime.privacy.sound import require_ledger, require_sound

if TYPE_CHECKING:
    import numpy as np

    from shieldwall.contract.policy import RuntimePolicy
    from shieldwall.contract.privacy import PrivacyPolicy
    from shieldwall.runtime.checkpoint import CheckpointStore


@dataclass(frozen=True, slots=True)
class Occasion:
    """An attempt at a round, and whose data it may tell of."""

    run_id: str
    round: int
    attempt: int
    asked: tuple[str, ...]
    """Names of the clients that are asked."""
    drawn_from: tuple[str, ...] | None
    """Whom they were drawn from, in secret and each as likely as any other; None where they were not."""


class PrivacyKeeper:
    """The one that writes the privacy ledger, by one policy on one volume.

    Raises UnsoundPrivacyError where the policy's promise cannot hold, here or on what the volume holds already.
    """

    def __init__(
        self, policy: RuntimePolicy, privacy: PrivacyPolicy, store: CheckpointStore, generator: np.random.Generator
    ) -> None:
        require_sound(policy, privacy)
        require_ledger(privacy, store.spends, store.records)
        self._rounds = policy.rounds.count
        self._clients = tuple(client.name for client in policy.clients)
        self._policy = privacy
        self._store = store
        self._generator = generator

    def require_budget(self, occasion: Occasion) -> None:
        """Raise BudgetSpentError if the round would pass ε; nobody may be asked then."""
        self._require_affordable(self._spend(occasion))

    def asking(self, occasion: Occasion) -> None:
        """Before the messages leave: in local modes what they cost is on disk when this returns."""
        if self._policy.mode is not PrivacyMode.CLIENT_LEVEL_CENTRAL and occasion.asked:
            self._store.spend(self._spend(occasion))

    def local(self, n: int) -> Noised | None:
        """What is left of clients' own noise in the mean of their n updates, or in that of one step's gradients."""
        if self._policy.mode is PrivacyMode.CLIENT_LEVEL_CENTRAL or n == 0:
            return None
        clip, averaged = self._policy.clip, math.sqrt(n)
        if self._policy.mode is PrivacyMode.RECORD_LEVEL:
            averaged *= RecordLevel.of(self._policy).batch_size
        return Noised(clip, None, self._policy.noise_multiplier * SENSITIVITY * clip / averaged, None)

    def noise(self) -> CentralNoise | None:
        """The mechanism for this round's aggregate; None where clients add the noise."""
        if self._policy.mode is not PrivacyMode.CLIENT_LEVEL_CENTRAL:
            return None
        return CentralNoise(self._policy, clip_in_force(self._policy, self._store.spends), self._generator)

    def releasing(self, occasion: Occasion, noised: Noised | None) -> None:
        """Before anybody sees a release: what it costs is on disk when this returns; nothing where that is paid for.

        Raises BudgetSpentError.
        """
        if noised is None:
            return
        facts = {"clip": noised.clip, "sensitivity": noised.sensitivity, "within": noised.within}
        spend = self._spend(occasion).model_copy(update=facts)
        self._require_affordable(spend)
        self._store.spend(spend)

    def record(self, occasion: Occasion, noised: Noised | None, size: int) -> PrivacyRecord:
        """How privacy stands by the ledger; ``noised`` is the release, of (size,), if there is one."""
        policy, adaptive, spends = self._policy, self._policy.adaptive is not None, self._spends
        following, guess = self._spend(occasion), self._rounds - occasion.round
        return PrivacyRecord(
            epsilon=max(epsilon_spent(spends, policy.delta), self._told),
            delta=policy.delta,
            rounds_left=rounds_left(spends, following, policy.epsilon, policy.delta, guess),
            releases=len(spends),
            signal_to_noise=None if noised is None else signal_to_noise(noised.clip, noised.deviation, size),
            clip=noised.clip if noised is not None and adaptive else None,
        )

    @property
    def _told(self) -> float:
        """ε as it was told last by the same δ: less is not told because somebody who was away is there again."""
        last = self._store.records[-1].privacy if self._store.records else None
        return last.epsilon if last is not None and last.delta == self._policy.delta else 0.0

    @property
    def _spends(self) -> tuple[Spend, ...]:
        """The ledger, as it counts for the clients that there are now."""
        return charged(self._store.spends, self._clients)

    def _spend(self, occasion: Occasion) -> Spend:
        policy = self._policy
        spend = Spend(
            run_id=occasion.run_id,
            round=occasion.round,
            attempt=occasion.attempt,
            mode=policy.mode,
            noise_multiplier=policy.noise_multiplier,
            releases=1,
            clients=occasion.asked,
            clip=policy.clip,
        )
        if policy.mode is PrivacyMode.RECORD_LEVEL:
            own = RecordLevel.of(policy)
            return spend.model_copy(update={"releases": own.steps, "rate": own.rate})
        if policy.population is None or occasion.drawn_from is None:
            return spend
        drawn = {"population": len(occasion.drawn_from), "sample": len(occasion.asked)}
        return spend.model_copy(update={"clients": occasion.drawn_from, **drawn})

    def _require_affordable(self, spend: Spend) -> None:
        spends = self._spends
        spent = epsilon_spent(spends, self._policy.delta)
        would_be = epsilon_spent((*spends, spend), self._policy.delta)
        if would_be > self._policy.epsilon:
            raise BudgetSpentError(spent, would_be, self._policy.epsilon, spend.round)
