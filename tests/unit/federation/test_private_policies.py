"""Rounds in which clients add the noise, what is refused at the start, and strategies under privacy."""

from __future__ import annotations

import numpy as np
import pytest

from shieldwall.accounting import Release, epsilon_of
from shieldwall.contract.policy import (
    AggregationPolicy,
    AppPolicy,
    ContributionPolicy,
    PreAggregation,
    Rule,
    ValidationPolicy,
)
from shieldwall.contract.privacy import PRIVACY_KEY, PrivacyMode
from shieldwall.contract.records import Fate
from shieldwall.runtime.checkpoint import CheckpointStore
from shieldwall.runtime.federation import managed
from shieldwall.runtime.federation.strategies import UnsafeStrategyError
from shieldwall.runtime.federation.wrapped import PolicyGrid
from shieldwall.runtime.privacy.errors import BudgetSpentError, UnsoundPrivacyError

from .private_world import DELTA, MEAN, adaptive, attest, attesting, central, local, rounds, run, serve


@pytest.fixture
def store(tmp_path):
    return CheckpointStore(tmp_path / "model")


# Local modes


def test_asking_clients_is_on_the_ledger_before_any_message_leaves(world, store):
    attesting(world)
    push, seen = world.grid.push_messages, []

    def watched(messages):
        seen.append([(spend.round, spend.attempt) for spend in CheckpointStore(store.directory).spends])
        return push(messages)

    world.grid.push_messages = watched
    run(world, store, local(), number=2)
    assert seen == [[(1, 1)], [(1, 1), (2, 1)]]


def test_what_an_aggregator_spent_before_it_died_is_told_when_the_next_round_opens(world, store):
    """The steward has no record of such an attempt; also where no further round fits it hears of it."""
    attesting(world)
    push = world.grid.push_messages

    def dies(messages):
        push(messages)
        raise KeyboardInterrupt

    world.grid.push_messages = dies
    target = epsilon_of({Release(2.0): 3}, DELTA)
    for _ in range(3):
        with pytest.raises(KeyboardInterrupt):
            run(world, store, local(epsilon=target))
    with pytest.raises(BudgetSpentError):
        run(world, store, local(epsilon=target))

    assert world.steward.closed == []
    told = [opened.privacy for opened in world.steward.opened]
    assert [each.epsilon for each in told] == [epsilon_of({Release(2.0): count}, DELTA) for count in range(4)]
    assert [each.releases for each in told] == [0, 1, 2, 3]
    assert (told[-1].delta, told[-1].rounds_left) == (DELTA, 0)


def test_each_attempt_costs_those_who_were_asked(world, store):
    attesting(world)
    world.steward.denied = ("client-4",)
    for client in world.clients[:3]:
        answer = client.finish
        client.finish = lambda reply, answer=answer: world.silent if world.grid.sent <= 4 else answer(reply)
    records = run(world, store, local())

    assert [spend.attempt for spend in store.spends] == [1, 2]
    assert {spend.clients for spend in store.spends} == {tuple(f"client-{place}" for place in range(4))}
    assert records[-1].privacy.epsilon == epsilon_of({Release(2.0): 2}, DELTA)


def test_any_rule_may_follow_noise_that_clients_added(world, store):
    attesting(world)
    krum = AggregationPolicy(rule=Rule.KRUM, byzantine=1)
    (record,) = run(world, store, local(), krum)

    assert record.privacy.signal_to_noise == pytest.approx(np.sqrt(5) / (2 * 2.0 * 200))


def test_noise_that_clients_had_to_add_is_no_reason_to_refuse_them(world, store):
    """Its norm, 800 here, grows with the model; the bound on norms is the user's and does not."""
    generator = np.random.default_rng(1)
    attesting(world)
    for client in world.clients:
        noise = generator.normal(0, 2 * 2.0, 40_000).astype(np.float32)
        client.train = lambda arrays, noise=noise: {**arrays, "w": arrays["w"] + noise}
    world.clients[4].train = lambda arrays: {**arrays, "w": arrays["w"] + np.float32(4.5)}
    strict = MEAN.model_copy(update={"reject_norm": 10.0})
    (record,) = run(world, store, local(), strict)

    assert [reply.fate for reply in record.replies[:4]] == [Fate.ADMITTED] * 4
    assert record.replies[4].fate is Fate.NORM_TOO_LARGE, "900 is more than any honest client adds"


@pytest.mark.parametrize(
    ("weak", "told"), [({"noise-multiplier": 1.9}, "less noise than 2"), ({"clip": 1.1}, "clip above 1")]
)
def test_a_reply_that_attests_less_than_the_policy_asks_is_refused(world, store, weak, told):
    attesting(world)
    attest(world.clients[2], **weak)
    (record,) = run(world, store, local())

    assert record.replies[2].fate is Fate.NOT_PRIVATE
    assert told in record.replies[2].detail
    assert record.admitted == 4


def test_a_reply_that_attests_nothing_is_refused(world, store):
    attesting(world)
    world.clients[1].sign = type(world.clients[1]).sign.__get__(world.clients[1])
    (record,) = run(world, store, local())

    assert (record.replies[1].fate, record.replies[1].detail) == (Fate.NOT_PRIVATE, "the reply attests no privacy")


def test_the_seal_covers_the_attestation(world, store):
    attesting(world)

    def stronger(reply):
        reply.content[PRIVACY_KEY]["noise-multiplier"] = 3.0
        return reply

    world.clients[1].finish = stronger
    (record,) = run(world, store, local())
    assert record.replies[1].fate is Fate.TAMPERED


# What is refused at the start


@pytest.mark.parametrize(
    ("privacy", "fields", "told"),
    [
        (central(noise=26.4, epsilon=1.0), {"aggregation": AggregationPolicy(rule=Rule.KRUM, byzantine=1)}, "Krum"),
        (
            central(),
            {"aggregation": MEAN.model_copy(update={"pre_aggregation": PreAggregation.NEAREST_NEIGHBOR_MIXING})},
            "NearestNeighborMixing",
        ),
        (central(), {"aggregation": AggregationPolicy(rule=Rule.FED_AVG)}, "FedAvg"),
        (central(), {"validation": ValidationPolicy()}, "comparing clients with each other"),
        (central(), {"contribution": ContributionPolicy()}, "who is banned shows in every later release"),
        (adaptive().model_copy(update={"noise_multiplier": 0.7}), {}, "adaptiveClipping"),
        (local(population=5), {}, "neither an adaptive clip nor amplification"),
        (local(mode=PrivacyMode.RECORD_LEVEL), {}, "batchSize, steps and records"),
    ],
)
def test_a_policy_whose_epsilon_would_not_hold_is_refused_before_the_first_round(world, store, privacy, fields, told):
    fields = {"aggregation": MEAN, "validation": None} | fields
    with pytest.raises(UnsoundPrivacyError, match=told):
        run(world, store, privacy, **fields)
    assert world.steward.opened == []


def test_krum_under_noise_for_the_mean_is_told_its_true_epsilon(world, store):
    krum = AggregationPolicy(rule=Rule.KRUM, byzantine=1)
    with pytest.raises(UnsoundPrivacyError, match=r"Noise 10 on 5 clients gives epsilon = \d+\.\d+, not 1$"):
        run(world, store, central(noise=10.0, epsilon=1.0), krum, number=4)


def test_a_volume_with_releases_that_nobody_counted_is_refused(world, tmp_path):
    run(world, CheckpointStore(tmp_path / "m"), None)
    with pytest.raises(UnsoundPrivacyError, match="round 1 was released without privacy"):
        run(world, CheckpointStore(tmp_path / "m"), central(), number=2)


def test_what_hid_single_records_does_not_count_as_hiding_clients(world, tmp_path):
    record_level = local(mode=PrivacyMode.RECORD_LEVEL, batch_size=1, steps=1, records=2)
    attesting(world, **{"mode": "RecordLevel", "batch-size": 1, "steps": 1, "records": 2})
    run(world, CheckpointStore(tmp_path / "m"), record_level)
    with pytest.raises(UnsoundPrivacyError, match="hid single records only"):
        run(world, CheckpointStore(tmp_path / "m"), central(), number=2)


def test_without_privacy_nothing_is_on_the_ledger(world, store):
    (record,) = run(world, store, None)

    assert (record.privacy, store.spends) == (None, ())
    assert not (store.directory / "privacy.jsonl").exists()


# Wrapped


def test_a_strategy_of_the_user_s_gets_the_noised_aggregate_and_nothing_else(world, store):
    seen = []

    def collect(replies, _):
        seen.extend(replies)

    result = serve(world, store, central(noise=3.0), train_metrics_aggr_fn=collect)
    released = result.arrays["w"].numpy()

    assert np.allclose(released, store.latest().model.arrays["w"], rtol=1e-5)
    assert released.std() == pytest.approx(3.0 * 2 / 5 * np.sqrt(2), rel=0.02)
    assert [spend.round for spend in store.spends] == [1, 2]
    for content in seen:
        assert set(content) == {"arrays", "metrics"}
        assert dict(content["metrics"]) == {"num-examples": 1}


def test_a_strategy_may_not_ask_clients_for_what_no_epsilon_covers(world, store):
    with pytest.raises(UnsafeStrategyError, match="fraction_evaluate"):
        serve(world, store, central(), fraction_evaluate=1.0)


def test_the_app_s_own_draw_of_clients_is_no_secret_one(world, store):
    with pytest.raises(UnsoundPrivacyError, match="managed mode"):
        PolicyGrid(
            world.engine(
                privacy=central(population=5), aggregation=MEAN, app=AppPolicy(client_app="a:b", server_app="s:app")
            ),
            store,
        )


def test_a_strategy_is_stopped_when_the_budget_is_spent(world, store):
    with pytest.raises(BudgetSpentError):
        serve(world, store, central(epsilon=epsilon_of({Release(2.0): 1}, DELTA)))
    assert [record.round for record in world.steward.closed] == [1]


# Names


@pytest.mark.parametrize("policy", [central, local])
def test_clients_that_are_renamed_go_on_with_what_they_have_spent(world, store, policy):
    attesting(world)
    target = epsilon_of({Release(2.0): 2}, DELTA)
    run(world, store, policy(epsilon=target), number=2)
    renamed = [client.model_copy(update={"name": f"new-{client.name}"}) for client in world.policy.clients]
    with pytest.raises(BudgetSpentError):
        run(world, store, policy(epsilon=target), number=4, clients=renamed)
    assert (world.grid.sent, len(store.spends)) == (2 * 5, 2)


def test_epsilon_that_was_told_does_not_fall_when_somebody_comes_back(world, store, monkeypatch):
    """Else it would look as if the ledger had been set back."""
    attesting(world)
    drawn = {"client-0"}
    monkeypatch.setattr(
        managed, "sample", lambda online, *_: {node: name for node, name in online.items() if name in drawn}
    )
    run(world, store, local(), rounds=rounds(2, min_replies=1))
    drawn |= {"client-1"}
    run(world, store, local(), rounds=rounds(3, min_replies=1), clients=world.policy.clients[1:])
    drawn -= {"client-0"}
    run(world, store, local(), rounds=rounds(4, min_replies=1))
    told = [epsilon_of({Release(2.0): count}, DELTA) for count in (1, 2, 3, 3)]
    assert [record.privacy.epsilon for record in store.records] == told
