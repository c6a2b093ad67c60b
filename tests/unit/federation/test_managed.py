"""A managed training against clients of every kind; each refusal is shown with its defence in place and taken out."""

from datetime import timedelta
from types import MethodType

import numpy as np
import pytest
from flwr.app import Array, ArrayRecord, ConfigRecord, Message, MetricRecord, RecordDict
from flwr.app.error import Error

from shieldwall.contract.policy import AggregationPolicy, PreAggregation, Rule, TooFewReplies
from shieldwall.contract.records import Fate, Outcome
from shieldwall.pki.authority import new_issuer, new_root
from shieldwall.runtime.aggregation import aggregate
from shieldwall.runtime.checkpoint import CheckpointStore
from shieldwall.runtime.federation import conclusion, judge
from shieldwall.runtime.federation.app import ManagedApp
from shieldwall.runtime.federation.engine import Engine
from shieldwall.runtime.federation.managed import train
from shieldwall.runtime.federation.repeats import MOST_ATTEMPTS, RoundNotReachedError
from shieldwall.runtime.federation.steward_client import NotTheCurrentRunError
from shieldwall.runtime.flower.inbox import Arrival
from shieldwall.runtime.flower.messages import ROUND_KEY, SEAL_KEY, RoundFacts, decode_packed
from shieldwall.runtime.flower.packing import pack

BASE = {"weights": np.zeros((2, 3), np.float32), "bias": np.zeros(3, np.float32)}


def app(measure=None):
    return ManagedApp(lambda _: dict(BASE), measure, {})


def run(world, tmp_path, measure=None, **policy):
    store = CheckpointStore(tmp_path / "model")
    train(world.engine(**policy), store, app(measure))
    return store


def bad(world, **methods):
    """Make the last client misbehave."""
    client = world.clients[-1]
    for name, method in methods.items():
        setattr(client, name, MethodType(method, client))
    return client


def fates(world, client, round_=None):
    records = [record for record in world.steward.closed if round_ in (None, record.round)]
    return [reply.fate for record in records for reply in record.replies if reply.client == client.name]


def one_round(world):
    return world.policy.rounds.model_copy(update={"count": 1})


def test_every_round_is_released_with_the_rules_aggregate(world, tmp_path):
    store = run(world, tmp_path, lambda arrays, _: {"accuracy": float(arrays["bias"].mean()), "bad": float("nan")})
    release = store.latest()
    assert release.round == 3
    # Trimmed by one at each end, the steps 0.01 to 0.05 have the mean 0.03; three rounds of it.
    np.testing.assert_allclose(release.model.arrays["weights"], 0.09, rtol=1e-5)
    assert [record.round for record in world.steward.closed] == [1, 2, 3]
    assert world.steward.closed[0].metrics == {"accuracy": pytest.approx(0.03)}
    assert all(record.model_sha256 for record in world.steward.closed)


def test_the_record_tells_each_clients_statistics(world, tmp_path):
    run(world, tmp_path, rounds=one_round(world))
    (record,) = world.steward.closed
    by_client = {reply.client: reply for reply in record.replies}
    assert by_client["client-0"].norm == pytest.approx(0.01 * 3, rel=1e-3)
    assert by_client["client-0"].cosine == pytest.approx(1.0)
    assert by_client["client-0"].distance == pytest.approx(0.02 * 3, rel=1e-3)
    assert by_client["client-2"].distance == pytest.approx(0.0, abs=1e-6)
    assert by_client["client-0"].num_examples == 10
    assert by_client["client-0"].serial


def stop_signing(self, reply):
    pass


def alter(self, reply):
    arrays = {name: array + np.float32(0.25) for name, array in decode_packed(reply.content["arrays"]).items()}
    reply.content["arrays"] = pack({name: Array(array) for name, array in arrays.items()})
    return reply


def alter_examples(self, reply):
    reply.content["metrics"] = MetricRecord({"num-examples": 10**9})
    return reply


def add_record(self, reply):
    reply.content["more"] = ConfigRecord({"x": 1})
    return reply


def garble_signature(self, reply):
    seal = dict(reply.content[SEAL_KEY])
    reply.content[SEAL_KEY] = ConfigRecord(seal | {"signature": seal["signature"][:-1] + b"\0"})
    return reply


def garble_seal(self, reply):
    reply.content[SEAL_KEY] = ConfigRecord({"signature": "text"})
    return reply


def replace_seal(self, reply):
    reply.content[SEAL_KEY] = MetricRecord({"signature": 1})
    return reply


def answer_as_another(self, reply):
    reply.metadata.__dict__["_src_node_id"] = self.node_id - 1
    return reply


@pytest.mark.parametrize(
    ("methods", "fate"),
    [
        ({"sign": stop_signing}, Fate.UNSIGNED),
        ({"finish": alter}, Fate.TAMPERED),
        ({"finish": alter_examples}, Fate.TAMPERED),
        ({"finish": add_record}, Fate.TAMPERED),
        ({"finish": garble_signature}, Fate.BAD_SIGNATURE),
        ({"finish": garble_seal}, Fate.BAD_SIGNATURE),
        ({"finish": replace_seal}, Fate.BAD_SIGNATURE),
        ({"finish": answer_as_another}, Fate.WRONG_SIGNER),
    ],
)
def test_a_reply_that_is_not_its_clients_own_is_refused_and_nothing_else_changes(world, tmp_path, methods, fate):
    client = bad(world, **methods)
    store = run(world, tmp_path, rounds=one_round(world))
    assert fates(world, client) == [fate]
    # The four others: 0.01 to 0.04, trimmed to 0.02 and 0.03.
    np.testing.assert_allclose(store.latest().model.arrays["bias"], 0.025, rtol=1e-5)


@pytest.mark.parametrize("methods", [{"sign": stop_signing}, {"finish": alter}, {"finish": answer_as_another}])
def test_without_signatures_the_same_reply_gets_in(world, tmp_path, methods):
    client = bad(world, **methods)
    run(world, tmp_path, rounds=one_round(world), require_signatures=False)
    assert fates(world, client) == [Fate.ADMITTED]


def test_a_reply_of_an_earlier_round_is_stale(world, tmp_path):
    kept = []

    def replay(self, reply):
        kept.append(reply.content)
        return Message(kept[0], reply_to=self.question)

    client = bad(world, finish=replay)
    honest = client.answer

    def remember(self, message):
        self.question = message
        return honest(message)

    bad(world, answer=remember)
    run(world, tmp_path)
    assert fates(world, client) == [Fate.ADMITTED, Fate.STALE, Fate.STALE]


def test_a_reply_signed_for_another_base_model_is_stale(world, tmp_path):
    def sign_for_another(self, reply):
        self.facts = RoundFacts(**{**_fields(self.facts), "base_sha256": "00" * 32})
        type(self).sign(self, reply)

    client = bad(world, sign=sign_for_another)
    run(world, tmp_path, rounds=one_round(world))
    assert fates(world, client) == [Fate.STALE]


def _fields(facts):
    return {name: getattr(facts, name) for name in facts.__slots__}


def test_a_reply_signed_by_another_client_is_refused(world, tmp_path):
    client, other = world.clients[-1], world.clients[0]
    client.key, client.chain = other.key, other.chain
    run(world, tmp_path, rounds=one_round(world))
    assert fates(world, client) == [Fate.WRONG_SIGNER]


@pytest.mark.parametrize("foreign", ["ca", "training"])
def test_a_certificate_of_another_issuer_is_refused(world, tmp_path, foreign):
    client = world.clients[-1]
    root = world.root if foreign == "training" else new_root("other", client.key, 5, world.clock.now())
    issuer = new_issuer(root, world.federation.id, world.clients[0].key, 6, world.clock.now())
    client.chain = world.chain_for(client.name, client.key, issuer)
    run(world, tmp_path, rounds=one_round(world))
    assert fates(world, client) == [Fate.BAD_SIGNATURE]


def test_an_expired_certificate_is_refused(world, tmp_path):
    world.clock.seconds = timedelta(hours=25).total_seconds()
    with pytest.raises(RoundNotReachedError):
        run(world, tmp_path, rounds=one_round(world))
    assert set(fates(world, world.clients[0])) == {Fate.BAD_SIGNATURE}


def test_a_client_on_the_deny_list_is_refused(world, tmp_path):
    world.steward.denied = (world.clients[-1].name,)
    run(world, tmp_path, rounds=one_round(world))
    assert fates(world, world.clients[-1]) == [Fate.DENIED]


def train_nan(self, arrays):
    return {name: np.full_like(array, np.nan) for name, array in arrays.items()}


def train_shape(self, arrays):
    return {name: array.reshape(-1) for name, array in arrays.items()}


def train_huge(self, arrays):
    return {name: np.full_like(array, 1e6) for name, array in arrays.items()}


def train_integers(self, arrays):
    return {name: array.astype(np.int32) for name, array in arrays.items()}


def train_reordered(self, arrays):
    return dict(reversed(arrays.items()))


@pytest.mark.parametrize(
    ("method", "fate"),
    [
        (train_nan, Fate.NOT_FINITE),
        (train_shape, Fate.WRONG_SCHEMA),
        (train_integers, Fate.WRONG_SCHEMA),
        (train_reordered, Fate.WRONG_SCHEMA),
        (train_huge, Fate.NORM_TOO_LARGE),
    ],
)
def test_a_signed_reply_that_is_no_update_is_refused(world, tmp_path, method, fate):
    client = bad(world, train=method)
    run(world, tmp_path, rounds=one_round(world))
    assert fates(world, client) == [fate]


def send_no_arrays(self, message):
    self.facts = RoundFacts.from_record(message.content["shieldwall.round"])
    reply = Message(RecordDict({"metrics": MetricRecord({"num-examples": 1})}), reply_to=message)
    self.sign(reply)
    return reply


def send_pickle(self, message):
    self.facts = RoundFacts.from_record(message.content["shieldwall.round"])
    arrays = {"weights": Array("object", (1,), "numpy.ndarray", b"\x80\x04not an array")}
    reply = Message(RecordDict({"arrays": pack(arrays)}), reply_to=message)
    self.sign(reply)
    return reply


def send_unpacked(self, message):
    self.facts = RoundFacts.from_record(message.content["shieldwall.round"])
    arrays = ArrayRecord(array_dict={name: Array(array) for name, array in BASE.items()})
    reply = Message(RecordDict({"arrays": arrays}), reply_to=message)
    self.sign(reply)
    return reply


def send_broken_header(self, message):
    self.facts = RoundFacts.from_record(message.content["shieldwall.round"])
    header = b"{'descr': ("
    data = b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header
    arrays = {"weights": Array("float32", (1,), "numpy.ndarray", data)}
    reply = Message(RecordDict({"arrays": pack(arrays)}), reply_to=message)
    self.sign(reply)
    return reply


def send_lone_surrogate(self, message):
    reply = type(self).answer(self, message)
    reply.content["\ud800"] = ConfigRecord({"x": 1})
    return reply


def send_error(self, message):
    return Message(Error(code=1, reason="it hurts"), reply_to=message)


def send_rubble(self, message):
    return Arrival(message.metadata.message_id, None, "the reply cannot be read")


@pytest.mark.parametrize(
    ("method", "fate"),
    [
        (send_no_arrays, Fate.MALFORMED),
        (send_pickle, Fate.MALFORMED),
        (send_unpacked, Fate.MALFORMED),
        (send_broken_header, Fate.MALFORMED),
        (send_lone_surrogate, Fate.MALFORMED),
        (send_rubble, Fate.MALFORMED),
        (send_error, Fate.CLIENT_ERROR),
    ],
)
def test_a_malformed_reply_costs_itself_alone(world, tmp_path, method, fate):
    client = bad(world, answer=method)
    store = run(world, tmp_path)
    assert fates(world, client) == [fate] * 3
    assert store.latest().round == 3


def test_whatever_reading_a_reply_raises_costs_that_reply_alone(world, tmp_path, monkeypatch):
    victim = world.clients[-1]
    read = judge.manifest_of

    def trip(content, facts, node_id, reply_to):
        if node_id == victim.node_id:
            raise IndexError("nobody thought of this")
        return read(content, facts, node_id, reply_to)

    monkeypatch.setattr(judge, "manifest_of", trip)
    store = run(world, tmp_path)
    assert fates(world, victim) == [Fate.MALFORMED] * 3
    assert store.latest().round == 3


def test_a_clients_words_cannot_forge_lines_of_a_log(world, tmp_path):
    def curse(self, message):
        return Message(Error(code=1, reason="\x1b[2J\r\nclient-0: admitted"), reply_to=message)

    client = bad(world, answer=curse)
    run(world, tmp_path, rounds=one_round(world))
    assert all(line.isprintable() for line in world.log)
    (record,) = world.steward.closed
    assert all(reply.detail.isprintable() for reply in record.replies)
    assert fates(world, client) == [Fate.CLIENT_ERROR]


def test_a_silent_client_costs_its_reply_and_the_grace(world, tmp_path):
    client = bad(world, answer=lambda self, message: world.silent)
    run(world, tmp_path, rounds=one_round(world))
    assert fates(world, client) == [Fate.NO_REPLY]
    assert world.policy.rounds.grace_seconds <= world.clock.seconds < world.policy.rounds.timeout_seconds


def test_too_few_replies_repeat_the_round_and_end_the_run_in_the_end(world, tmp_path):
    for client in world.clients[:3]:
        client.answer = MethodType(send_error, client)
    with pytest.raises(RoundNotReachedError) as caught:
        run(world, tmp_path)
    assert caught.value.round == 1
    assert "2 replies were admitted where 3 are needed; for example client-0: client-error" in str(caught.value)
    assert "it hurts" in str(caught.value)
    assert [record.outcome for record in world.steward.closed] == [Outcome.REPEATED] * MOST_ATTEMPTS
    assert [opened.attempt for opened in world.steward.opened] == list(range(1, MOST_ATTEMPTS + 1))
    assert len({opened.nonce for opened in world.steward.opened}) == MOST_ATTEMPTS


def quiet_while(world, condition):
    """The first three clients answer with an error while ``condition`` of the round's facts holds."""

    def answer(self, message):
        if condition(RoundFacts.from_record(message.content[ROUND_KEY])):
            return send_error(self, message)
        return type(self).answer(self, message)

    for client in world.clients[:3]:
        client.answer = MethodType(answer, client)


def skipping(world):
    return world.policy.rounds.model_copy(update={"on_too_few_replies": TooFewReplies.SKIP})


def test_where_rounds_may_be_skipped_the_next_goes_on_from_the_model_as_it_was(world, tmp_path):
    quiet_while(world, lambda facts: facts.round == 2)
    store = run(world, tmp_path, rounds=skipping(world))
    found = [(record.round, record.attempt, record.outcome) for record in world.steward.closed]
    assert found == [(1, 1, Outcome.RELEASED), (2, 1, Outcome.SKIPPED), (3, 1, Outcome.RELEASED)]
    assert "2 replies were admitted where 3 are needed" in world.steward.closed[1].reason
    assert world.steward.opened[2].base_sha256 == world.steward.opened[1].base_sha256
    np.testing.assert_allclose(store.latest().model.arrays["weights"], 0.06, rtol=1e-5)


def test_rounds_that_were_skipped_since_the_last_release_are_tried_again_by_the_next_run(world, tmp_path):
    quiet_while(world, lambda facts: facts.round > 1)
    run(world, tmp_path, rounds=skipping(world))
    for client in world.clients:
        client.answer = MethodType(type(client).answer, client)
    store = run(world, tmp_path, rounds=skipping(world))
    assert [record.round for record in store.records] == [1, 2, 3, 2, 3]
    assert store.latest().round == 3


def test_updates_that_claim_no_example_have_no_weighted_mean_and_the_round_is_repeated(world, tmp_path):
    def claim_nothing(self, reply):
        reply.content["metrics"] = MetricRecord({"num-examples": 0})
        type(self).sign(self, reply)

    for client in world.clients:
        client.sign = MethodType(claim_nothing, client)
    with pytest.raises(RoundNotReachedError):
        run(world, tmp_path, aggregation=AggregationPolicy(rule=Rule.FED_AVG))


@pytest.mark.parametrize(
    ("aggregation", "needed"),
    [
        ({"rule": Rule.BULYAN, "byzantine": 1}, 7),
        ({"rule": Rule.KRUM, "byzantine": 2}, 7),
        ({"rule": Rule.CENTERED_CLIPPING, "byzantine": 1, "max_norm": 1.0}, 10),
        ({"rule": Rule.FED_MEDIAN, "byzantine": 1, "pre_aggregation": PreAggregation.BUCKETING, "bucket_size": 3}, 7),
        ({"rule": Rule.GEOMETRIC_MEDIAN, "byzantine": 3, "pre_aggregation": PreAggregation.NEAREST_NEIGHBOR_MIXING}, 7),
    ],
)
def test_with_too_few_admitted_replies_a_rule_never_bends(world, tmp_path, aggregation, needed):
    with pytest.raises(RoundNotReachedError, match=f"5 replies were admitted where {needed} are needed"):
        run(world, tmp_path, aggregation=AggregationPolicy(**aggregation))
    assert {record.outcome for record in world.steward.closed} == {Outcome.REPEATED}


def test_what_comes_before_the_rule_is_on_record(world, tmp_path):
    before = PreAggregation.NEAREST_NEIGHBOR_MIXING
    rule = AggregationPolicy(rule=Rule.FED_MEDIAN, byzantine=1, pre_aggregation=before)
    run(world, tmp_path, aggregation=rule, rounds=one_round(world))
    (record,) = world.steward.closed
    assert (record.rule, record.pre_aggregation) == ("FedMedian", "NearestNeighborMixing")


def test_the_same_replies_to_the_same_question_are_put_in_the_same_buckets(world, tmp_path, monkeypatch):
    seeds = []

    def watched(updates, policy, seed, *more):
        seeds.append(seed)
        return aggregate(updates, policy, seed, *more)

    monkeypatch.setattr(conclusion, "aggregate", watched)
    rule = AggregationPolicy(rule=Rule.FED_MEDIAN, byzantine=1, pre_aggregation=PreAggregation.BUCKETING)
    for place in ("first", "again"):
        run(world, tmp_path / place, aggregation=rule, rounds=one_round(world))
        world.steward.opened.clear()  # the nonces begin anew with it
    first, again = seeds
    assert first == again
    world.clients[0].step *= 1.0001
    run(world, tmp_path / "other", aggregation=rule, rounds=one_round(world))
    assert seeds[-1] != first, "another update of anybody makes other buckets"


def test_an_admitted_reply_keeps_its_update_and_not_its_message_too(world, tmp_path):
    kept = []
    inner = world.engine(rounds=one_round(world))
    asked = Engine.ask

    def ask(self, *question):
        answer = asked(self, *question)
        kept.extend(reply.verdict for reply in answer.admitted)
        return answer

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Engine, "ask", ask)
        train(inner, CheckpointStore(tmp_path / "model"), app())
    assert len(kept) == 5
    for verdict in kept:
        assert [len(record) for record in verdict.message.content.array_records.values()] == [0]
        assert verdict.update.vector.base is None


def test_after_a_crash_training_goes_on_at_the_last_release(world, tmp_path):
    store = CheckpointStore(tmp_path / "model")
    close, calls = world.steward.close, []

    def die_in_round_two(record):
        calls.append(record.round)
        if len(calls) == 2:
            raise ConnectionError("the aggregator died here")
        close(record)

    world.steward.close = die_in_round_two
    with pytest.raises(ConnectionError):
        train(world.engine(), store, app())
    train(world.engine(), CheckpointStore(tmp_path / "model"), app())
    # Round 2 was on disk already: it is handed in again and never trained twice.
    assert [record.round for record in world.steward.closed] == [1, 2, 3]
    assert [opened.round for opened in world.steward.opened] == [1, 2, 3]
    np.testing.assert_allclose(CheckpointStore(tmp_path / "model").latest().model.arrays["bias"], 0.09, rtol=1e-5)


def test_a_steward_that_lost_its_volume_does_not_stop_the_training(world, tmp_path):
    run(world, tmp_path, rounds=one_round(world))
    close = world.steward.close

    def only_this_run(record):
        if record.round == 1:
            raise NotTheCurrentRunError("run unknown")
        close(record)

    world.steward.close = only_this_run
    assert run(world, tmp_path).latest().round == 3


def test_a_measure_that_fails_costs_the_numbers_only(world, tmp_path):
    def broken(arrays, config):
        raise RuntimeError("no test set")

    store = run(world, tmp_path, broken)
    assert store.latest().round == 3
    assert any("no test set" in line for line in world.log)
