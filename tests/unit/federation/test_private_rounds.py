"""Rounds under a policy of privacy: what is spent when, what is refused, what the noise is."""

from __future__ import annotations

import os
from dataclasses import replace

import numpy as np
import pytest
from flwr.app import Array, ArrayRecord, ConfigRecord, Error, Message
from flwr.serverapp.strategy import FedAvg

from shieldwall.accounting import FixedSize, Release, epsilon_of, noise_multiplier_for
from shieldwall.contract.policy import (
    AggregationPolicy,
    AppPolicy,
    ContributionPolicy,
    PreAggregation,
    RoundsPolicy,
    Rule,
    ValidationPolicy,
)
from shieldwall.contract.privacy import PRIVACY_KEY, AdaptiveClippingPolicy, PrivacyMode, PrivacyPolicy
from shieldwall.contract.records import Fate, Outcome
from shieldwall.runtime.checkpoint import CheckpointStore
from shieldwall.runtime.federation import conclusion, managed
from shieldwall.runtime.federation.app import ManagedApp
from shieldwall.runtime.federation.managed import train
from shieldwall.runtime.federation.strategies import UnsafeStrategyError
from shieldwall.runtime.federation.wrapped import PolicyGrid
from shieldwall.runtime.privacy.errors import BudgetSpentError, UnsoundPrivacyError

BASE = {"w": np.zeros(40_000, np.float32), "count": np.array([7])}
MEAN = AggregationPolicy(rule=Rule.CLIPPED_MEAN, max_norm=1.0)
DELTA = 1e-5


def central(noise=2.0, epsilon=1e5, clip=1.0, **fields):
    return PrivacyPolicy(
        mode=PrivacyMode.CLIENT_LEVEL_CENTRAL,
        epsilon=epsilon,
        delta=DELTA,
        clip=clip,
        noise_multiplier=noise,
        **fields,
    )


def local(**fields):
    return PrivacyPolicy(
        **({"mode": PrivacyMode.CLIENT_LEVEL_LOCAL, "epsilon": 100, "delta": DELTA, "clip": 1.0} | fields),
        noise_multiplier=2.0,
    )


def rounds(count, **fields):
    return RoundsPolicy(**({"count": count, "min_replies": 3, "timeout_seconds": 60, "grace_seconds": 5} | fields))


def run(world, store, privacy, aggregation=MEAN, number=1, **policy):
    fields = {"rounds": rounds(number), **policy}
    train(world.engine(privacy=privacy, aggregation=aggregation, **fields), store, ManagedApp(lambda _: BASE, None, {}))
    return store.records


@pytest.fixture
def store(tmp_path):
    return CheckpointStore(tmp_path / "model")


def attesting(world, **values):
    for client in world.clients:
        attest(client, **values)


def attest(client, **values):
    sign = type(client).sign.__get__(client)

    def attested(reply):
        reply.content[PRIVACY_KEY] = ConfigRecord(
            {"mode": "ClientLevelLocal", "noise-multiplier": 2.0, "clip": 1.0, **values}
        )
        sign(reply)

    client.sign = attested


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


def adaptive(**fields):
    return central(noise=0.5, adaptive=AdaptiveClippingPolicy(quantile=0.5, rate=0.5, count_noise=0.6), **fields)


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


def serve(world, store, privacy, **strategy):
    grid = PolicyGrid(world.engine(privacy=privacy, aggregation=MEAN), store)
    arrays = ArrayRecord(array_dict={name: Array(array) for name, array in BASE.items()})
    options = {"fraction_evaluate": 0.0, "min_available_nodes": 3, **strategy}
    return FedAvg(**options).start(grid, arrays, num_rounds=2)


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
