"""The end of an attempt: what came of it and what it cost are committed at once, then the steward hears of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from shieldwall.contract.records import Fate
from shieldwall.runtime.federation.conclusion import record_of
from shieldwall.runtime.privacy.keeper import PrivacyKeeper
from shieldwall.runtime.privacy.mechanism import os_generator

if TYPE_CHECKING:
    from collections.abc import Mapping

    from shieldwall.contract.records import RoundRecord
    from shieldwall.runtime.checkpoint import CheckpointStore
    from shieldwall.runtime.federation.conclusion import Conclusion
    from shieldwall.runtime.federation.engine import Answer, Engine


def keeper_for(engine: Engine, store: CheckpointStore) -> PrivacyKeeper | None:
    """Who holds the training to its ε; None where the policy has none. Raises UnsoundPrivacyError."""
    privacy = engine.policy.privacy
    return None if privacy is None else PrivacyKeeper(engine.policy, privacy, store, os_generator(engine.random))


def settle(  # noqa: PLR0913, PLR0917  # the attempt's parts, each used once
    engine: Engine,
    store: CheckpointStore,
    keeper: PrivacyKeeper | None,
    answer: Answer,
    conclusion: Conclusion,
    metrics: Mapping[str, float],
) -> RoundRecord:
    """Commit the attempt and hand its record in; a release counts, and is paid for, once it is committed.

    Raises BudgetSpentError where the release would pass ε; nothing of it is kept then.
    """
    spend = privacy = None
    if keeper is not None:
        spend = keeper.releasing(answer.occasion, conclusion.noised)
        n = sum(reply.fate is Fate.ADMITTED for reply in conclusion.replies)
        noised = conclusion.noised or (None if conclusion.model is None else keeper.local(n))
        size = 0 if conclusion.delta is None else conclusion.delta.size
        privacy = keeper.record(answer.occasion, spend, noised if size else None, size)
    record = record_of(answer, conclusion, engine.policy, metrics, privacy)
    if conclusion.model is None:
        store.note(record, spend)
    else:
        record = store.save(conclusion.model, record, spend).records[-1]
    engine.steward.close(record)
    return record
