"""Contribution and validation inside a managed training: real keys and messages, a grid and a clock as arguments."""

import errno
import tracemalloc
from types import MethodType

import numpy as np
import pytest

from shieldwall.contract.policy import AggregationPolicy, ContributionPolicy, PreAggregation, Rule, ValidationPolicy
from shieldwall.contract.records import Fate, Flag, RoundGrant
from shieldwall.runtime.checkpoint import CheckpointStore
from shieldwall.runtime.contribution.memory import Memory
from shieldwall.runtime.federation.app import ManagedApp
from shieldwall.runtime.federation.inspection import Inspector, key_sha256, pasts_of
from shieldwall.runtime.federation.managed import train
from shieldwall.runtime.model import Model
from shieldwall.runtime.steward.registry import registry_of

from .conftest import World

D = 3000
BASE = {"weights": np.zeros((D // 10, 10), np.float32)}


@pytest.fixture
def wide(world, tmp_path):
    """Eight clients whose honest updates share a few directions; those of a round differ from the round's before."""
    made = World(tmp_path, n=8)
    made.policy = made.policy.model_copy(
        update={
            "aggregation": AggregationPolicy(rule=Rule.FED_TRIMMED_AVG, byzantine=2),
            "rounds": made.policy.rounds.model_copy(update={"count": 6, "min_replies": 5}),
            "validation": ValidationPolicy(),
            "contribution": ContributionPolicy(),
        }
    )
    for position, client in enumerate(made.clients):
        behave(client, honest(position))
    return made


def honest(position):
    def update(_self, round_):
        shared = np.random.default_rng([round_, 99]).normal(size=(4, D))
        own = np.random.default_rng([round_, position])
        return (own.normal(size=4) + np.array([3, 0, 0, 0])) @ shared + 0.5 * own.normal(size=D)

    return update


def behave(client, update):
    """Have the client answer with ``update(round)`` on top of the model it was sent."""

    def train_(self, arrays):
        return {
            name: (array + np.float32(1e-2) * update(self, self.facts.round).reshape(array.shape)).astype(array.dtype)
            for name, array in arrays.items()
        }

    client.train = MethodType(train_, client)


def run(world, tmp_path, **policy):
    store = CheckpointStore(tmp_path / "model")
    train(world.engine(**policy), store, ManagedApp(lambda _: dict(BASE), None, {}))
    return store


def replies(world, client):
    return [reply for record in world.steward.closed for reply in record.replies if reply.client == client.name]


def test_the_rule_goes_by_the_inner_products_that_were_looked_at(wide, tmp_path, monkeypatch):
    monkeypatch.setattr("shieldwall.runtime.aggregation.geometry.inner_products", None)
    behave(wide.clients[-1], lambda _self, _round: np.full(D, 1e3))  # refused: the others' are a part of all
    mixing = PreAggregation.NEAREST_NEIGHBOR_MIXING
    rule = AggregationPolicy(rule=Rule.FED_TRIMMED_AVG, byzantine=2, pre_aggregation=mixing)
    store = run(wide, tmp_path, aggregation=rule)
    assert store.latest().round == 6
    assert {reply.fate for reply in replies(wide, wide.clients[-1])} <= {Fate.NORM_OUTLIER, Fate.DISTANCE_OUTLIER}


def test_a_full_volume_costs_the_evidence_and_not_the_run(wide, tmp_path, monkeypatch):
    def full(*_args):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("shieldwall.runtime.contribution.vectors.write_file", full)
    monkeypatch.setattr("shieldwall.runtime.contribution.memory.write_file", full)
    store = run(wide, tmp_path)
    assert store.latest().round == 6
    assert len([line for line in wide.log if "evidence" in line]) == 1
    found = [reply.innovation for record in wide.steward.closed for reply in record.replies]
    assert min(found) > 0.2  # what one round says alone is told all the same


def test_looking_takes_the_memory_of_a_few_blocks_beside_the_replies(wide, tmp_path):
    """Of models of 32 MB: with the model as one vector, or a delta, held whole it is 32 MB more."""
    size = 8_000_000
    names = [client.name for client in wide.clients[:6]]
    updates = dict.fromkeys(names, np.random.default_rng(0).standard_normal(size, np.float32))
    inspector = Inspector(wide.policy, Memory(tmp_path / "kept", bytes), list, bytes)
    for round_ in (1, 2):
        base = Model.of({"w": np.full(size, round_, np.float32)})
        tracemalloc.start()
        try:
            inspector.inspect(updates, base, round_, 5)
            assert tracemalloc.get_traced_memory()[1] < 16e6
        finally:
            tracemalloc.stop()


def test_every_reply_is_scored_and_named_by_its_key(wide, tmp_path):
    run(wide, tmp_path)
    members = {one.client: one.key_sha256 for one in registry_of(wide.policy).members.values()}
    for record in wide.steward.closed:
        assert record.innovation_floor == pytest.approx(3 * 8 / (D - record.round + 1))
        for reply in record.replies:
            assert (reply.fate, reply.flags) == (Fate.ADMITTED, ())
            assert reply.innovation > 0.2 > record.innovation_floor
            assert reply.node_key == members[reply.client]
            assert abs(reply.norm_z) < 8
            assert reply.spread > 0


def test_without_the_policy_nothing_is_looked_at_or_kept(wide, tmp_path):
    run(wide, tmp_path, contribution=None, validation=None)
    assert {reply.flags for record in wide.steward.closed for reply in record.replies} == {None}
    assert {reply.node_key for record in wide.steward.closed for reply in record.replies} == {None}
    assert not (tmp_path / "model" / "contribution").exists()


def boosted(self, round_):
    return -10 * honest(7)(self, round_)


@pytest.mark.parametrize(
    ("validation", "fate"),
    [
        (ValidationPolicy(), {Fate.NORM_OUTLIER, Fate.DISTANCE_OUTLIER}),
        (ValidationPolicy(reject=False), {Fate.ADMITTED}),
        (None, {Fate.ADMITTED}),
    ],
)
def test_an_outlier_is_refused_before_the_rule_sees_it(wide, tmp_path, validation, fate):
    poisoner = wide.clients[-1]
    behave(poisoner, boosted)
    mean = AggregationPolicy(rule=Rule.CLIPPED_MEAN, max_norm=1e6)
    store = run(wide, tmp_path, validation=validation, aggregation=mean)
    found = replies(wide, poisoner)
    assert {reply.fate for reply in found} <= fate
    assert all(reply.norm is not None for reply in found)
    others = np.mean([np.sum([honest(i)(None, r) for r in range(1, 7)], axis=0) for i in range(7)], axis=0)
    model = store.latest().model.arrays["weights"].reshape(-1) / 1e-2
    poisoned = float(np.dot(model, others) / (np.linalg.norm(model) * np.linalg.norm(others)))
    assert (poisoned > 0.99) == (fate != {Fate.ADMITTED})
    admitted = {record.admitted for record in wide.steward.closed}
    assert admitted == ({7} if fate != {Fate.ADMITTED} else {8})


def test_no_more_are_refused_than_the_round_can_do_without(wide, tmp_path):
    behave(wide.clients[-1], boosted)
    needy = wide.policy.rounds.model_copy(update={"min_replies": 8})
    run(wide, tmp_path, rounds=needy)
    assert {record.admitted for record in wide.steward.closed} == {8}


def test_what_the_model_did_before_is_told_after_a_restart_too(wide, tmp_path):
    rider, bases = wide.clients[-1], {}

    def replay(self, arrays):
        bases[self.facts.round] = arrays["weights"]
        before = bases.get(self.facts.round - 1)
        step = np.float32(0.1) if before is None else arrays["weights"] - before
        return {"weights": arrays["weights"] + step}

    rider.train = MethodType(replay, rider)
    run(wide, tmp_path, rounds=wide.policy.rounds.model_copy(update={"count": 2}))
    run(wide, tmp_path)  # another process, the same volume
    flags = {
        record.round: reply.flags
        for record in wide.steward.closed
        for reply in record.replies
        if reply.client == rider.name
    }
    assert {number for number, found in flags.items() if Flag.REPLAY in found} == {2, 3, 4, 5, 6}
    assert [record.round for record in wide.steward.closed] == [1, 2, 2, 3, 4, 5, 6]


def test_what_the_model_did_before_the_last_ten_rounds_is_told(wide, tmp_path):
    rider, bases = wide.clients[-1], {}

    def replay(self, arrays):
        bases[self.facts.round] = arrays["weights"]
        work = np.float32(1e-2) * honest(7)(self, self.facts.round).reshape(arrays["weights"].shape)
        step = work if self.facts.round < 12 else bases[2] - bases[1]
        return {"weights": (arrays["weights"] + step).astype(np.float32)}

    rider.train = MethodType(replay, rider)
    run(wide, tmp_path, rounds=wide.policy.rounds.model_copy(update={"count": 14}))
    assert [Flag.REPLAY in reply.flags for reply in replies(wide, rider)] == [False] * 11 + [True] * 3
    others = [reply.flags for client in wide.clients[:-1] for reply in replies(wide, client)]
    assert set(others) == {()}


@pytest.mark.parametrize("size", [0, 128])  # on either side of 128 numbers are rounded differently
def test_its_own_first_update_sent_again_is_told_whatever_the_model_rounds_off(wide, tmp_path, monkeypatch, size):
    monkeypatch.setitem(BASE, "weights", np.full((D // 10, 10), size, np.float32))
    rider = wide.clients[-1]
    behave(rider, lambda self, _round: honest(7)(self, 1))
    run(wide, tmp_path)
    assert [Flag.REPEAT in reply.flags for reply in replies(wide, rider)] == [False, *[True] * 5]


def test_a_copier_cannot_choose_that_its_victim_is_refused_and_their_work_counts_once(wide, tmp_path):
    copier, victim = wide.clients[0], wide.clients[-1]
    behave(copier, honest(7))
    run(wide, tmp_path, rounds=wide.policy.rounds.model_copy(update={"count": 12}))
    fates = [(mine.fate, yours.fate) for mine, yours in zip(replies(wide, copier), replies(wide, victim), strict=True)]
    assert set(fates) == {(Fate.ADMITTED, Fate.NEAR_DUPLICATE), (Fate.NEAR_DUPLICATE, Fate.ADMITTED)}


def test_who_is_denied_gets_no_model_and_is_not_waited_for(wide, tmp_path):
    wide.steward.denied = ("client-7",)
    asked = []
    wide.clients[-1].train = MethodType(lambda _self, arrays: asked.append(1) or arrays, wide.clients[-1])
    run(wide, tmp_path)
    assert asked == []
    assert [reply.fate for reply in replies(wide, wide.clients[-1])] == [Fate.DENIED] * 6
    assert {record.seconds for record in wide.steward.closed} == {0.0}
    assert {record.admitted for record in wide.steward.closed} == {7}


def test_bans_take_effect_in_the_next_round(wide, tmp_path):
    """The loop closed: what the aggregator records is folded as the steward folds it, and comes back as a denial."""
    from shieldwall.runtime.steward.standings import Standings

    behave(wide.clients[-1], lambda _self, _round: np.zeros(D))
    registry = registry_of(wide.policy)
    standings = Standings(wide.policy, registry, tmp_path / "steward", ())

    def grant(opening):
        wide.steward.opened.append(opening)
        banned = standings.banned
        return RoundGrant(denied=tuple(one.client for one in registry.members.values() if one.key_sha256 in banned))

    def close(record):
        wide.steward.closed.append(record)
        standings.note(record)

    wide.steward.open, wide.steward.close = grant, close
    run(wide, tmp_path)
    assert [reply.fate for reply in replies(wide, wide.clients[-1])] == [Fate.ADMITTED] * 5 + [Fate.DENIED]


def test_pasts_are_relative_to_their_rounds_and_leave_out_what_was_held_against_it(wide, tmp_path):
    store = run(wide, tmp_path)
    key = key_sha256(wide.policy.clients[0].node_public_key)
    past = pasts_of(store.records)[key]
    assert (len(past.norms), len(past.spreads)) == (6, 6)
    assert max(map(abs, past.norms)) < 1
    marked = [
        record.model_copy(
            update={
                "replies": tuple(
                    reply.model_copy(update={"flags": (Flag.TINY,) if reply.client == "client-0" else ()})
                    for reply in record.replies
                )
            }
        )
        for record in store.records
    ]
    assert key not in pasts_of(marked)
    assert pasts_of(()) == {}
