"""The user's own strategies, unchanged, behind the policy's Grid."""

from types import MethodType

import numpy as np
import pytest
from flwr.app import Array, ArrayRecord, ConfigRecord, Message, MetricRecord, RecordDict
from flwr.serverapp.strategy import FedAdam, FedAvg, FedMedian, FedProx

from shieldwall.contract.policy import (
    AggregationPolicy,
    ClientPolicy,
    ContributionPolicy,
    Rule,
    TooFewReplies,
    ValidationPolicy,
)
from shieldwall.contract.records import Fate, Outcome
from shieldwall.pki.node_key import public_pem
from shieldwall.runtime.checkpoint import CheckpointStore
from shieldwall.runtime.federation.repeats import MOST_ATTEMPTS, RoundNotReachedError
from shieldwall.runtime.federation.wrapped import PolicyGrid, UnsafeStrategyError
from shieldwall.runtime.flower.messages import ROUND_KEY, SEAL_KEY, RoundFacts


def initial():
    return ArrayRecord(array_dict={"weights": Array(np.zeros((2, 3), np.float32))})


def start(world, tmp_path, strategy, rounds=2, rounds_policy=None, **policy):
    if rounds_policy is not None:
        policy["rounds"] = rounds_policy
    grid = PolicyGrid(world.engine(**policy), CheckpointStore(tmp_path / "model"))
    return strategy.start(grid=grid, initial_arrays=initial(), num_rounds=rounds, timeout=30)


def lie(self, arrays):
    return {name: np.full_like(array, -1000.0) for name, array in arrays.items()}


def claim_everything(self, reply):
    reply.content["metrics"] = MetricRecord({"num-examples": 10**15, "loss": 0.0})
    type(self).sign(self, reply)


def train_only(**options):
    return {"fraction_evaluate": 0.0, "min_evaluate_nodes": 0, "min_available_nodes": 5, **options}


@pytest.mark.parametrize("strategy", [FedAvg(**train_only()), FedProx(**train_only(proximal_mu=0.1))])
def test_whatever_a_strategy_averages_it_gets_the_rules_aggregate(world, tmp_path, strategy):
    liar = world.clients[-1]
    liar.train, liar.sign = MethodType(lie, liar), MethodType(claim_everything, liar)
    result = start(world, tmp_path, strategy)
    # Of 0.01 … 0.04 and the lie, one is cut at each end: 0.02 a round.
    np.testing.assert_allclose(result.arrays["weights"].numpy(), 0.04, rtol=1e-5)


def test_without_the_rule_the_same_liar_takes_the_model_over(world, tmp_path):
    liar = world.clients[-1]
    liar.train, liar.sign = MethodType(lie, liar), MethodType(claim_everything, liar)
    result = start(
        world,
        tmp_path,
        FedAvg(**train_only()),
        aggregation=world.policy.aggregation.model_copy(update={"rule": Rule.FED_AVG, "byzantine": 0}),
    )
    assert result.arrays["weights"].numpy().mean() < -1.0


def test_a_strategy_with_a_server_optimiser_runs_on_the_aggregate(world, tmp_path):
    result = start(world, tmp_path, FedAdam(**train_only()))
    assert np.isfinite(result.arrays["weights"].numpy()).all()
    assert result.arrays["weights"].numpy().mean() > 0


def test_a_strategy_may_take_a_median_of_equals(world, tmp_path):
    result = start(world, tmp_path, FedMedian(**train_only()))
    np.testing.assert_allclose(result.arrays["weights"].numpy(), 0.06, rtol=1e-5)


def test_each_round_is_released_and_recorded(world, tmp_path):
    start(world, tmp_path, FedAvg(**train_only()))
    assert [record.round for record in world.steward.closed] == [1, 2]
    assert CheckpointStore(tmp_path / "model").latest().round == 2


def test_an_outlier_reaches_the_strategy_as_an_error_and_a_denied_client_is_not_asked(world, tmp_path):
    liar, denied = world.clients[-1], world.clients[0]
    liar.train = MethodType(lie, liar)
    world.steward.denied = (denied.name,)
    watched = {"validation": ValidationPolicy(), "contribution": ContributionPolicy()}
    few = world.policy.rounds.model_copy(update={"min_replies": 2})
    mean = AggregationPolicy(rule=Rule.CLIPPED_MEAN, max_norm=1e6)
    world.clients += [world._client(position) for position in (5, 6)]
    world.grid.clients |= {client.node_id: client for client in world.clients}
    for client in world.clients[5:]:
        client.node_key = client.key
    clients = tuple(
        ClientPolicy(name=each.name, node_public_key=public_pem(each.node_key.public_key())) for each in world.clients
    )
    engine = world.engine(**watched, rounds=few, aggregation=mean, clients=clients)
    grid = PolicyGrid(engine, CheckpointStore(tmp_path / "model"))
    messages = [
        Message(RecordDict({"arrays": initial(), "config": ConfigRecord()}), node, "train")
        for node in grid.get_node_ids()
    ]
    replies = grid.send_and_receive(messages)
    assert world.grid.sent == len(messages) - 1
    errors = sorted(reply.error.reason for reply in replies if reply.has_error())
    assert len(errors) == 2
    assert "deny list" in errors[1]
    assert "the policy's bound is" in errors[0]
    model = next(reply for reply in replies if not reply.has_error()).content["arrays"]["weights"].numpy()
    assert model.mean() > 0  # the lie is not in it


def test_a_refused_reply_reaches_the_strategy_as_an_error(world, tmp_path):
    client = world.clients[-1]
    client.sign = MethodType(lambda self, reply: None, client)
    grid = PolicyGrid(world.engine(), CheckpointStore(tmp_path / "model"))
    messages = [
        Message(RecordDict({"arrays": initial(), "config": ConfigRecord()}), node, "train")
        for node in grid.get_node_ids()
    ]
    replies = {reply.metadata.src_node_id: reply for reply in grid.send_and_receive(messages)}
    assert len(replies) == 5
    refused = replies.pop(client.node_id)
    assert refused.has_error()
    assert "no signature" in refused.error.reason
    assert all(SEAL_KEY not in reply.content and ROUND_KEY not in reply.content for reply in replies.values())


def unsigned_while(world, condition, number=3):
    """``number`` clients do not sign while ``condition`` of the round's facts holds."""

    def sign(self, reply):
        if not condition(self.facts):
            type(self).sign(self, reply)

    for client in world.clients[:number]:
        client.sign = MethodType(sign, client)


def skipping(world):
    return world.policy.rounds.model_copy(update={"on_too_few_replies": TooFewReplies.SKIP})


def attempts(world):
    return [(record.round, record.attempt, record.outcome) for record in world.steward.closed]


def test_where_rounds_may_be_skipped_too_few_replies_lose_the_round_and_not_the_run(world, tmp_path):
    unsigned_while(world, lambda _: True)
    result = start(world, tmp_path, FedAvg(**train_only()), rounds_policy=skipping(world))
    assert attempts(world) == [(1, 1, Outcome.SKIPPED), (2, 1, Outcome.SKIPPED)]
    assert "2 replies were admitted where 3 are needed" in world.steward.closed[0].reason
    assert not result.arrays or np.allclose(result.arrays["weights"].numpy(), 0.0)


def test_a_skipped_round_leaves_the_model_as_it_was(world, tmp_path):
    unsigned_while(world, lambda facts: facts.round == 1)
    result = start(world, tmp_path, FedAvg(**train_only()), rounds_policy=skipping(world))
    assert attempts(world) == [(1, 1, Outcome.SKIPPED), (2, 1, Outcome.RELEASED)]
    np.testing.assert_allclose(result.arrays["weights"].numpy(), 0.03, rtol=1e-5)


def test_a_round_with_too_few_replies_is_repeated_and_the_strategy_gets_what_comes_of_it(world, tmp_path):
    unsigned_while(world, lambda facts: facts.round == 2 and facts.attempt < 3)
    result = start(world, tmp_path, FedAvg(**train_only()), rounds=3)
    assert attempts(world) == [
        (1, 1, Outcome.RELEASED),
        (2, 1, Outcome.REPEATED),
        (2, 2, Outcome.REPEATED),
        (2, 3, Outcome.RELEASED),
        (3, 1, Outcome.RELEASED),
    ]
    assert len({opened.nonce for opened in world.steward.opened}) == 5
    assert len({opened.base_sha256 for opened in world.steward.opened[1:4]}) == 1
    np.testing.assert_allclose(result.arrays["weights"].numpy(), 0.09, rtol=1e-5)


def test_before_a_round_is_repeated_enough_clients_must_be_online(world, tmp_path):
    unsigned_while(world, lambda facts: facts.attempt == 1)
    away = world.grid.clients
    present = world.grid.get_nodes

    def some(self):
        late = world.clock.seconds >= 20
        return present() if late or not world.steward.closed else present()[: len(away) - 3]

    world.grid.get_nodes = MethodType(some, world.grid)
    start(world, tmp_path, FedAvg(**train_only()), rounds=1)
    assert world.clock.seconds >= 20
    assert attempts(world)[-1] == (1, 2, Outcome.RELEASED)


def test_a_round_that_never_finds_enough_replies_ends_the_run_and_says_why(world, tmp_path):
    unsigned_while(world, lambda _: True)
    with pytest.raises(RoundNotReachedError, match="round 1 was tried 5 times: 2 replies were admitted where 3"):
        start(world, tmp_path, FedAvg(**train_only()))
    assert attempts(world) == [(1, attempt, Outcome.REPEATED) for attempt in range(1, MOST_ATTEMPTS + 1)]
    assert CheckpointStore(tmp_path / "model").latest() is None


def test_replies_to_a_repeated_round_can_be_pulled_by_the_ids_that_were_given(world, tmp_path):
    unsigned_while(world, lambda facts: facts.attempt == 1)
    grid = PolicyGrid(world.engine(), CheckpointStore(tmp_path / "model"))
    content = RecordDict({"arrays": initial(), "config": ConfigRecord()})
    messages = [Message(content, node, "train") for node in grid.get_node_ids()]
    ids = grid.push_messages(messages)
    assert [message.metadata.message_id for message in messages] == ids
    replies = grid.pull_messages(ids)
    assert len(replies) == 5
    assert not any(reply.has_error() for reply in replies)


def test_the_weight_that_a_client_claims_is_the_weight_of_every_other(world, tmp_path):
    liar = world.clients[-1]
    liar.sign = MethodType(claim_everything, liar)
    grid = PolicyGrid(world.engine(), CheckpointStore(tmp_path / "model"))
    content = RecordDict({"arrays": initial(), "config": ConfigRecord()})
    replies = grid.send_and_receive([Message(content, node, "train") for node in grid.get_node_ids()])
    assert [reply.content["metrics"]["num-examples"] for reply in replies] == [1] * 5


def test_evaluation_replies_are_checked_and_passed_on(world, tmp_path):
    def evaluate(self, message):
        if message.metadata.message_type == "train":
            return type(self).answer(self, message)
        self.facts = RoundFacts.from_record(message.content[ROUND_KEY])
        reply = Message(RecordDict({"metrics": MetricRecord({"num-examples": 4, "acc": 0.5})}), reply_to=message)
        if self is not world.clients[-1]:
            self.sign(reply)
        return reply

    for client in world.clients:
        client.answer = MethodType(evaluate, client)
    result = start(world, tmp_path, FedAvg(min_available_nodes=5))
    assert result.evaluate_metrics_clientapp[1]["acc"] == pytest.approx(0.5)


def test_replies_can_be_pulled_one_by_one(world, tmp_path):
    grid = PolicyGrid(world.engine(), CheckpointStore(tmp_path / "model"))
    content = RecordDict({"arrays": initial(), "config": ConfigRecord()})
    ids = grid.push_messages([Message(content, node, "train") for node in grid.get_node_ids()])
    assert len(grid.pull_messages(ids[:2])) == 2
    assert len(grid.pull_messages(ids)) == 3
    assert grid.pull_messages(ids) == []


def other():
    return ArrayRecord(array_dict={"weights": Array(np.ones((2, 3), np.float32))})


@pytest.mark.parametrize(
    "contents",
    [
        lambda position: {"arrays": initial() if position else other()},
        lambda position: {"arrays": initial(), "more": other()},
        lambda position: {"config": ConfigRecord()},
    ],
)
def test_what_cannot_be_made_safe_is_refused(world, tmp_path, contents):
    grid = PolicyGrid(world.engine(), CheckpointStore(tmp_path / "model"))
    messages = [
        Message(RecordDict(contents(position)), node, "train") for position, node in enumerate(grid.get_node_ids())
    ]
    with pytest.raises(UnsafeStrategyError):
        grid.send_and_receive(messages)


def test_a_protocol_of_masks_is_refused_with_the_reason_whoever_speaks_it(world, tmp_path):
    grid = PolicyGrid(world.engine(), CheckpointStore(tmp_path / "model"))
    asked = {"secaggplus_configs": ConfigRecord({"stage": "setup"}), "arrays": initial()}
    with pytest.raises(UnsafeStrategyError, match="FedTrimmedAvg has to see every one") as refused:
        grid.send_and_receive([Message(RecordDict(asked), node, "train") for node in grid.get_node_ids()])
    assert "mode RecordLevel or ClientLevelLocal" in str(refused.value)
    assert not world.steward.closed


def test_a_lie_is_outvoted_and_on_record(world, tmp_path):
    liar = world.clients[-1]
    liar.train = MethodType(lie, liar)
    start(world, tmp_path, FedAvg(**train_only()), rounds=1)
    (record,) = world.steward.closed
    reply = next(reply for reply in record.replies if reply.client == liar.name)
    assert reply.fate is Fate.ADMITTED
    assert reply.cosine < 0


def metrics(self, reply, *records):
    for name in tuple(reply.content.metric_records):
        del reply.content[name]
    for name, record in records:
        reply.content[name] = MetricRecord(record)
    type(self).sign(self, reply)


ODD = {
    "no metrics": [],
    "no weight": [("metrics", {"loss": 1.0})],
    "two records": [("metrics", {"num-examples": 1, "loss": 1.0}), ("more", {"x": 1})],
    "another name": [("scores", {"num-examples": 1, "loss": 1.0})],
    "another key": [("metrics", {"num-examples": 1, "loss": 1.0, "extra": 1})],
    "a list": [("metrics", {"num-examples": 1, "loss": [1.0, 2.0]})],
    "not a number": [("metrics", {"num-examples": 1, "loss": float("nan")})],
    "infinity": [("metrics", {"num-examples": 1, "loss": float("inf")})],
}


@pytest.mark.parametrize("records", ODD.values(), ids=ODD)
def test_a_reply_of_another_form_is_left_out_and_the_app_goes_on(world, tmp_path, records):
    odd = world.clients[-1]
    odd.sign = MethodType(lambda self, reply: metrics(self, reply, *records), odd)
    result = start(world, tmp_path, FedAvg(**train_only()))
    np.testing.assert_allclose(result.arrays["weights"].numpy(), 0.06, rtol=1e-5)
    assert result.train_metrics_clientapp[1]["loss"] == pytest.approx(0.5)


def test_another_name_for_the_arrays_is_left_out_too(world, tmp_path):
    def rename(self, reply):
        reply.content["model"] = reply.content.pop("arrays")
        type(self).sign(self, reply)

    odd = world.clients[-1]
    odd.sign = MethodType(rename, odd)
    result = start(world, tmp_path, FedAvg(**train_only()))
    np.testing.assert_allclose(result.arrays["weights"].numpy(), 0.06, rtol=1e-5)


def test_in_an_evaluation_no_claim_counts_for_more_than_the_honest_ones(world, tmp_path):
    def evaluate(self, message):
        if message.metadata.message_type == "train":
            return type(self).answer(self, message)
        self.facts = RoundFacts.from_record(message.content[ROUND_KEY])
        liar = self is world.clients[-1]
        record = MetricRecord({"num-examples": 10**15 if liar else 4, "acc": 1.0 if liar else 0.5})
        reply = Message(RecordDict({"metrics": record}), reply_to=message)
        self.sign(reply)
        return reply

    for client in world.clients:
        client.answer = MethodType(evaluate, client)
    result = start(world, tmp_path, FedAvg(min_available_nodes=5))
    assert result.evaluate_metrics_clientapp[1]["acc"] == pytest.approx(0.5)
