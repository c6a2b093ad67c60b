"""Rounds under ClientLevelCentral: what the noise is, what is spent when, what is refused."""

from __future__ import annotations

import os
from dataclasses import replace

import numpy as np
import pytest
from flwr.app import Array, ArrayRecord, Error, Message

from shieldwall.accounting import FixedSize, Release, epsilon_of, noise_multiplier_for
from shieldwall.contract.policy import (
    AggregationPolicy,
    PreAggregation,
    Rule,
)
from shieldwall.contract.records import Fate, Outcome
from shieldwall.runtime.checkpoint import CheckpointStore
from shieldwall.runtime.federation import conclusion, managed
from shieldwall.runtime.federation.app import ManagedApp
from shieldwall.runtime.federation.managed import train
from shieldwall.runtime.privacy.errors import BudgetSpentError

from .private_world import BASE, DELTA, MEAN, adaptive, attesting, central, local, rounds, run, serve


@pytest.fixture
def store(tmp_path):
    return CheckpointStore(tmp_path / "model")


# Central: the noise


def test_the_release_carries_noise_of_the_rule_s_sensitivity(world, store):
    run(world, store, central(noise=3.0))
    released = store.latest().model.arrays["w"]

    sensitivity = 2 * 1.0 / 5
    assert released.std() == pytest.approx(3.0 * sensitivity, rel=0.02)
    (spend,) = store.spends
    assert (spend.sensitivity, spend.clip, spend.noise_multiplier) == (pytest.approx(sensitivity), 1.0, 3.0)
    assert spend.clients == tuple(f"client-{place}" for place in range(5))


def test_cosines_and_distances_of_single_clients_are_told_of_the_release_with_its_noise(world, store):
    """All updates are parallel to the mean: of the aggregate without noise each cosine would be 1."""
    (record,) = run(world, store, central(noise=3.0))
    released = store.latest().model.arrays["w"].astype(np.float64)

    for client, reply in zip(world.clients, record.replies, strict=True):
        update = np.full(released.size, client.step)
        cosine = update @ released / np.linalg.norm(update) / np.linalg.norm(released)
        assert reply.cosine == pytest.approx(cosine, abs=1e-4)
        assert reply.cosine < 0.1
        assert reply.distance == pytest.approx(np.linalg.norm(update - released), rel=1e-4)


def test_a_trimmed_mean_gets_the_noise_of_fewer_updates(world, store):
    trimmed = AggregationPolicy(rule=Rule.FED_TRIMMED_AVG, byzantine=1, max_norm=1.0)
    run(world, store, central(noise=3.0), trimmed)

    assert store.spends[0].sensitivity == pytest.approx(2 / 3)
    assert store.latest().model.arrays["w"].std() == pytest.approx(3.0 * 2 / 3, rel=0.02)


def test_updates_are_clipped_to_what_the_noise_is_for_whatever_the_rule_s_own_bound_is(world, store):
    for client in world.clients:
        client.step = 1000.0
    run(world, store, central(noise=0.01, clip=0.5), MEAN.model_copy(update={"max_norm": 50.0}))

    assert np.linalg.norm(store.latest().model.arrays["w"].astype(np.float64)) < 0.5 + 0.01 * 2 * 0.5 / 5 * 200 * 1.2
    assert store.spends[0].clip == 0.5


def test_whole_numbers_in_the_model_stay_as_they_were(world, store):
    for client in world.clients:
        client.train = lambda arrays: {"w": arrays["w"], "count": arrays["count"] + 1}
    run(world, store, central())

    assert store.latest().model.arrays["count"] == 7


def test_two_runs_of_one_policy_differ(world, tmp_path):
    found = []
    for place in ("one", "other"):
        store = CheckpointStore(tmp_path / place)
        engine = world.engine(privacy=central(), aggregation=MEAN, rounds=rounds(1))
        train(replace(engine, random=os.urandom), store, ManagedApp(lambda _: BASE, None, {}))
        found.append(store.latest().model.arrays["w"])
    assert (found[0] != found[1]).all()


def test_buckets_are_not_drawn_from_what_clients_sent(world, tmp_path, monkeypatch):
    seeds, aggregate = [], conclusion.aggregate
    monkeypatch.setattr(
        conclusion, "aggregate", lambda u, p, seed, *more: seeds.append(seed) or aggregate(u, p, seed, *more)
    )
    rule = AggregationPolicy(
        rule=Rule.FED_TRIMMED_AVG, byzantine=1, pre_aggregation=PreAggregation.BUCKETING, max_norm=1.0
    )
    for place, step in (("one", 0.01), ("other", 0.02)):
        world.steward.opened.clear()  # the same nonces and the same bytes of the system
        world.clients[0].step = step
        run(world, CheckpointStore(tmp_path / place), central(), rule)
    assert seeds[0] == seeds[1]


# Central: how many take part is nobody's secret


def poison(client):
    client.train = lambda arrays: {"w": arrays["w"] * np.float32(np.nan), "count": arrays["count"]}


def nonsense(reply):
    reply.content["arrays"] = ArrayRecord(array_dict={"packed": Array(np.zeros(3))})
    return reply


def failing(message):
    return Message(Error(0, "the app raised"), reply_to=message)


@pytest.mark.parametrize("how", ["not finite", "too long", "malformed", "error", "unsigned"])
def test_a_reply_that_is_refused_for_what_is_in_it_counts_as_an_update_of_zeros(world, store, how):
    bad = world.clients[0]
    if how == "not finite":
        poison(bad)
    elif how == "too long":
        bad.step = 1e6
    elif how == "malformed":
        bad.finish = nonsense
    elif how == "error":
        bad.answer = failing
    else:
        bad.sign = lambda _: None
    others = [client.step for client in world.clients[1:]]
    (record,) = run(world, store, central(noise=0.01, clip=20.0))

    assert record.replies[0].fate is not Fate.ADMITTED
    assert record.admitted == 4
    assert store.spends[0].sensitivity == pytest.approx(2 * 20 / 5)
    assert len(store.spends[0].clients) == 5
    assert store.latest().model.arrays["w"].mean() == pytest.approx(sum(others) / 5, rel=0.05)


def test_a_client_that_stays_away_is_no_update(world, store):
    world.clients[0].finish = lambda _: world.silent
    run(world, store, central())

    assert store.spends[0].sensitivity == pytest.approx(2 / 4)


def test_whether_a_round_is_repeated_does_not_depend_on_what_replies_hold(world, store):
    for client in world.clients[:4]:
        poison(client)
    (record,) = run(world, store, central())

    assert (record.outcome, record.admitted) == (Outcome.RELEASED, 1)


def test_a_round_that_releases_nothing_costs_nothing(world, store):
    for client in world.clients[:3]:
        answer = client.finish
        client.finish = lambda reply, answer=answer: world.silent if world.grid.sent <= 5 else answer(reply)
    records = run(world, store, central())

    assert [record.outcome for record in records] == [Outcome.REPEATED, Outcome.RELEASED]
    assert [spend.attempt for spend in store.spends] == [2]
    assert records[0].privacy.epsilon == 0.0


# Central: what is seen is paid for before


def on_disk(store):
    return [(spend.round, spend.attempt) for spend in CheckpointStore(store.directory).spends]


def measured(world, store, measure, privacy, number):
    engine = world.engine(privacy=privacy, aggregation=MEAN, rounds=rounds(number))
    train(engine, store, ManagedApp(lambda _: BASE, measure, {}))


def test_what_a_model_cost_is_on_disk_before_the_app_is_shown_it(world, store):
    seen = []
    measured(world, store, lambda *_: seen.append(on_disk(store)) or {}, central(), 2)

    assert seen == [[(1, 1)], [(1, 1), (2, 1)]]


def test_what_a_model_cost_is_on_disk_before_a_strategy_is_handed_it(world, store):
    seen = []
    serve(world, store, central(), train_metrics_aggr_fn=lambda *_: seen.append(on_disk(store)))

    assert seen == [[(1, 1)], [(1, 1), (2, 1)]]


def dying(*_):
    raise KeyboardInterrupt  # nothing that the round would survive


def test_an_aggregator_that_dies_of_the_app_s_measure_has_spent_and_the_round_is_made_anew(world, tmp_path):
    place = tmp_path / "m"
    with pytest.raises(KeyboardInterrupt):
        measured(world, CheckpointStore(place), dying, central(), 1)
    first = CheckpointStore(place)
    assert (len(first.spends), first.latest()) == (1, None)

    (record,) = run(world, first, central())
    assert record.privacy.epsilon == epsilon_of({Release(2.0): 2}, DELTA)
    assert len(first.spends) == 2


def test_models_that_only_the_app_saw_count_until_the_budget_is_spent(world, tmp_path):
    seen, target = [], epsilon_of({Release(2.0): 2}, DELTA)
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            measured(world, CheckpointStore(tmp_path / "m"), dying, central(epsilon=target), 2)
    with pytest.raises(BudgetSpentError, match="round 1 would make it"):
        measured(world, CheckpointStore(tmp_path / "m"), lambda *_: seen.append(1) or {}, central(epsilon=target), 2)

    assert (seen, len(CheckpointStore(tmp_path / "m").spends)) == ([], 2)


def test_as_many_rounds_as_the_noise_is_for_are_made_where_nothing_dies(world, store):
    noise = noise_multiplier_for(1.0, DELTA, 3)
    measured(world, store, lambda *_: {"loss": 0.5}, central(noise=noise, epsilon=1.0), 3)

    assert (store.latest().round, len(store.spends)) == (3, 3)
    assert store.records[-1].privacy.rounds_left == 0


# Central: the clip that adapts


def test_the_clip_follows_the_updates_norms_and_the_noise_follows_the_clip(world, store):
    records = run(world, store, adaptive(clip=100.0), number=12)
    clips = [record.privacy.clip for record in records]

    assert clips[0] == 100.0
    assert clips[-1] < 30.0  # the norms are 2 to 10
    for spend in store.spends:
        assert spend.sensitivity == pytest.approx(2 * spend.clip / 5)
    assert [spend.clip for spend in store.spends] == clips


def test_the_clip_in_force_survives_a_restart(world, tmp_path):
    whole = CheckpointStore(tmp_path / "whole")
    run(world, whole, adaptive(clip=100.0), number=3)
    last = whole.spends[-1]
    run(world, CheckpointStore(tmp_path / "whole"), adaptive(clip=100.0), number=4)
    spends = CheckpointStore(tmp_path / "whole").spends

    assert spends[-1].round == 4
    assert spends[-1].clip == pytest.approx(last.clip * np.exp(-0.5 * (last.within - 0.5)))


def test_aggregate_and_count_share_the_noise_multiplier(world, store):
    run(world, store, adaptive(clip=1.0))
    deviation = store.latest().model.arrays["w"].std() / (2 / 5)

    assert deviation == pytest.approx((0.5**-2 - 0.6**-2) ** -0.5, rel=0.03)
    assert store.records[0].privacy.epsilon == pytest.approx(epsilon_of({Release(0.5): 1}, DELTA))


# The budget


def test_epsilon_is_that_of_the_ledger_after_each_round(world, store):
    noise = noise_multiplier_for(1.0, DELTA, 4)
    records = run(world, store, central(noise=noise, epsilon=1.0), number=3)

    expected = [epsilon_of({Release(noise): count}, DELTA) for count in (1, 2, 3)]
    assert [record.privacy.epsilon for record in records] == expected
    assert [record.privacy.rounds_left for record in records] == [3, 2, 1]
    assert [record.privacy.releases for record in records] == [1, 2, 3]
    assert records[0].privacy.signal_to_noise == pytest.approx(1 / (noise * 2 / 5 * 200))


@pytest.mark.parametrize("policy", [central, local])
def test_the_round_that_would_pass_the_target_is_refused_before_anybody_is_asked(world, store, policy):
    attesting(world)
    target = epsilon_of({Release(2.0): 2}, DELTA)
    with pytest.raises(BudgetSpentError, match=r"budget is spent: epsilon = .* and round 3 would make it"):
        run(world, store, policy(epsilon=target), number=4)

    assert [record.round for record in store.records] == [1, 2]
    assert world.grid.sent == 2 * 5
    assert store.latest().round == 2


def test_the_ledger_spans_runs_on_one_volume(world, tmp_path):
    target = epsilon_of({Release(2.0): 2}, DELTA)
    run(world, CheckpointStore(tmp_path / "m"), central(epsilon=target), number=2)
    with pytest.raises(BudgetSpentError):
        run(world, CheckpointStore(tmp_path / "m"), central(epsilon=target), number=3)


def test_a_release_that_would_pass_the_target_is_not_made(world, store, monkeypatch):
    """Who was denied after the draw makes the sample a larger share of the rest."""
    world.steward.denied = ("client-0", "client-1")
    drawn = {"client-2", "client-3"}
    monkeypatch.setattr(
        managed, "sample", lambda online, *_: {node: name for node, name in online.items() if name in drawn}
    )
    few = rounds(1, fraction_train=0.4, min_replies=1)
    enough = epsilon_of({Release(2.0, FixedSize(5, 2)): 1}, DELTA)
    with pytest.raises(BudgetSpentError):
        run(world, store, central(epsilon=enough, population=5), rounds=few)

    assert (store.spends, store.latest()) == ((), None)


def test_a_secret_draw_of_clients_costs_everybody_less(world, store):
    few = rounds(1, fraction_train=0.4, min_replies=2)
    (record,) = run(world, store, central(population=5), rounds=few)
    (spend,) = store.spends

    assert (spend.population, spend.sample, len(spend.clients)) == (5, 2, 5)
    assert record.privacy.epsilon == epsilon_of({Release(2.0, FixedSize(5, 2)): 1}, DELTA)
