"""A managed training: our round loop, from the last release to the last round. No user code sees a raw update."""

from __future__ import annotations

import random
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from flwr.app import Array, ArrayRecord, ConfigRecord, Message, RecordDict

from shieldwall.runtime.federation.engine import Question
from shieldwall.runtime.federation.inspection import inspector_for
from shieldwall.runtime.federation.members import sample
from shieldwall.runtime.federation.repeats import MOST_ATTEMPTS, RoundNotReachedError, is_over, wait_for_clients
from shieldwall.runtime.federation.settle import come_of, keeper_for, settle
from shieldwall.runtime.federation.steward_client import NotTheCurrentRunError
from shieldwall.runtime.flower.messages import ARRAYS_KEY, CONFIG_KEY

if TYPE_CHECKING:
    from shieldwall.runtime.checkpoint import CheckpointStore
    from shieldwall.runtime.federation.app import ManagedApp
    from shieldwall.runtime.federation.engine import Engine
    from shieldwall.runtime.federation.inspection import Inspector
    from shieldwall.runtime.model import Model
    from shieldwall.runtime.privacy.keeper import PrivacyKeeper

_TRAIN: Final = "train"


def train(engine: Engine, store: CheckpointStore, app: ManagedApp) -> None:
    """Run the rounds that are left; raises RoundNotReachedError, UnsoundPrivacyError and BudgetSpentError.

    Model and record of a round are on disk before the round counts, so after a crash anywhere training goes on after
    the last released round; rounds that were skipped since are tried again.
    """
    release = store.latest()
    if release is not None:
        for checkpoint in release.lost:
            engine.log(f"checkpoint {checkpoint.file} of round {checkpoint.round} is lost: {checkpoint.reason}")
    _hand_in_again(engine, store)
    keeper = keeper_for(engine, store)
    model = release.model if release else app.initial_model()
    inspector = inspector_for(engine.policy, store, engine.random, engine.threads, engine.log)
    for number in range(release.round + 1 if release else 1, engine.policy.rounds.count + 1):
        model = _round(engine, store, app, model, number, inspector, keeper)


def _hand_in_again(engine: Engine, store: CheckpointStore) -> None:
    """The aggregator may have died between committing a record and handing it in; the steward takes each once.

    A steward that lost its volume knows no earlier run, and goes on from the rounds to come.
    """
    if store.records:
        with suppress(NotTheCurrentRunError):
            engine.steward.close(store.records[-1])


def _round(  # noqa: PLR0913, PLR0917  # the round's parts, each used once
    engine: Engine,
    store: CheckpointStore,
    app: ManagedApp,
    base: Model,
    number: int,
    inspector: Inspector | None,
    keeper: PrivacyKeeper | None,
) -> Model:
    reason = ""
    for attempt in range(1, MOST_ATTEMPTS + 1):
        answer = engine.ask(_question(engine, base, number, attempt), keeper)
        conclusion = come_of(engine, keeper, answer, base, inspector)
        if conclusion.model is None:
            reason = conclusion.reason
            engine.log(f"round {number}, attempt {attempt}: {reason}")
            settle(engine, store, keeper, answer, conclusion, {})
            if is_over(engine, conclusion):
                return base
            continue
        metrics = app.evaluate(conclusion.model, engine.log)
        settle(engine, store, keeper, answer, conclusion, metrics)
        engine.log(f"round {number} of {engine.policy.rounds.count} released: {metrics}")
        return conclusion.model
    raise RoundNotReachedError(number, MOST_ATTEMPTS, reason)


def _question(engine: Engine, model: Model, number: int, attempt: int) -> Question:
    online = wait_for_clients(engine)
    names = sample(online, frozenset(), engine.policy, random.SystemRandom().sample)
    arrays = ArrayRecord(array_dict={name: Array(array) for name, array in model.arrays.items()})
    content = RecordDict({ARRAYS_KEY: arrays, CONFIG_KEY: ConfigRecord({"server-round": number})})
    return Question(
        round=number,
        attempt=attempt,
        base_sha256=model.sha256,
        base=model,
        messages=[Message(content, node_id, _TRAIN, group_id=str(number)) for node_id in names],
        names=names,
        model_bytes=sum(array.nbytes for array in model.arrays.values()),
        drawn_from=tuple(online.values()),
    )
