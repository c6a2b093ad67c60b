"""The end of an attempt: first what it cost is committed, then what came of it, then the steward hears of it.

The cost comes first since the user's code sees a model before it is a release, to measure it. Dying in between costs a
release that nobody gets, and never gives one that nobody paid for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from shieldwall.contract.records import Fate
from shieldwall.runtime.federation.conclusion import conclude, record_of
from shieldwall.runtime.privacy.keeper import PrivacyKeeper
from shieldwall.runtime.privacy.mechanism import os_generator

if TYPE_CHECKING:
    from collections.abc import Mapping

    from shieldwall.contract.records import RoundRecord
    from shieldwall.runtime.checkpoint import CheckpointStore
    from shieldwall.runtime.federation.conclusion import Conclusion
    from shieldwall.runtime.federation.engine import Answer, Engine
    from shieldwall.runtime.federation.inspection import Inspector
    from shieldwall.runtime.model import Model


def keeper_for(engine: Engine, store: CheckpointStore) -> PrivacyKeeper | None:
    """Who holds the training to its ε; None where the policy has none. Raises UnsoundPrivacyError."""
    privacy = engine.policy.privacy
    return None if privacy is None else PrivacyKeeper(engine.policy, privacy, store, os_generator(engine.random))


def come_of(
    engine: Engine, keeper: PrivacyKeeper | None, answer: Answer, base: Model, inspector: Inspector | None
) -> Conclusion:
    """What becomes of the replies; what it costs is on disk when this returns, and it may be shown to the user's code.

    Raises BudgetSpentError where the release would pass ε; nothing of it is kept then.
    """
    noise = None if keeper is None else keeper.noise()
    conclusion = conclude(answer, base, engine.policy, inspector, engine.threads, noise)
    if keeper is not None:
        keeper.releasing(answer.occasion, conclusion.noised)
    return conclusion


def settle(  # noqa: PLR0913, PLR0917  # the attempt's parts, each used once
    engine: Engine,
    store: CheckpointStore,
    keeper: PrivacyKeeper | None,
    answer: Answer,
    conclusion: Conclusion,
    metrics: Mapping[str, float],
) -> RoundRecord:
    """Commit the attempt and hand its record in; a release counts once it is committed, and was paid for before."""
    privacy = None
    if keeper is not None:
        n = sum(reply.fate is Fate.ADMITTED for reply in conclusion.replies)
        noised = conclusion.noised or (None if conclusion.model is None else keeper.local(n))
        size = 0 if conclusion.delta is None else conclusion.delta.size
        privacy = keeper.record(answer.occasion, noised if size else None, size)
    record = record_of(answer, conclusion, engine.policy, metrics, privacy)
    if conclusion.model is None:
        store.note(record)
    else:
        record = store.save(conclusion.model, record).records[-1]
    engine.steward.close(record)
    return record
