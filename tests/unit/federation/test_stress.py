"""Clients that send numbers and arrays at the edge of what there is: correct, and never a crash. Fuzzed."""

from types import MethodType

import numpy as np
import pytest
from flwr.app import Array
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays, scalar_dtypes

from shieldwall.contract.policy import AggregationPolicy, Rule
from shieldwall.contract.records import Fate, Outcome
from shieldwall.runtime.aggregation import UnsoundPolicyError, required_replies
from shieldwall.runtime.checkpoint import CheckpointStore
from shieldwall.runtime.federation.app import ManagedApp
from shieldwall.runtime.federation.managed import train
from shieldwall.runtime.flower.packing import pack

TINY = float(np.finfo(np.float32).smallest_subnormal)
BASE = {
    "weights": np.zeros((2, 3), np.float32),
    "scale": np.array(1.0, np.float32),
    "half": np.zeros(2, np.float16),
    "nothing": np.zeros((0, 3), np.float32),
    "steps": np.array(0, np.int64),
    "mask": np.zeros(3, np.bool_),
    "bytes": np.zeros((2, 2), np.uint8),
}
"""A 0-d array, an empty one, and integers and booleans beside the floats."""
ROUNDS = 2


def fits(rule, f):
    policy = AggregationPolicy(rule=rule, byzantine=f, max_norm=1e6)
    try:
        return required_replies(policy) <= 10
    except UnsoundPolicyError:
        return False


ROBUST = [rule for rule in Rule if fits(rule, 1)]


def honest(self, sent):
    """One small step; counters count."""
    moved = {name: np.asarray(array + array.dtype.type(self.step)) for name, array in sent.items()}
    return moved | {
        "steps": np.asarray(sent["steps"] + 1),
        "mask": np.ones(3, np.bool_),
        "bytes": np.full((2, 2), 3, np.uint8),
    }


def with_value(value):
    def lie(self, sent):
        with np.errstate(over="ignore"):
            return honest(self, sent) | {"weights": np.full((2, 3), value, np.float32)}

    return lie


def cast(dtype):
    return lambda self, sent: honest(self, sent) | {"weights": honest(self, sent)["weights"].astype(dtype)}


def shaped(shape):
    return lambda self, sent: honest(self, sent) | {"weights": np.resize(honest(self, sent)["weights"], shape)}


def alternating(self, sent):
    """Good in one round, bad in the next."""
    self.turn = not getattr(self, "turn", False)
    return honest(self, sent) if self.turn else with_value(-1000.0)(self, sent)


def extreme_counters(self, sent):
    return honest(self, sent) | {"steps": np.array(-(2**63), np.int64), "bytes": np.full((2, 2), 255, np.uint8)}


BEHAVIOURS = {
    "alternating good and bad": (alternating, {Fate.ADMITTED}),
    "1e30": (with_value(1e30), {Fate.NORM_TOO_LARGE}),
    "the largest float": (with_value(np.finfo(np.float32).max), {Fate.NORM_TOO_LARGE}),
    "denormals": (with_value(TINY), {Fate.ADMITTED}),
    "negative zeros": (with_value(-0.0), {Fate.ADMITTED}),
    "NaN": (with_value(np.nan), {Fate.NOT_FINITE}),
    "extreme counters": (extreme_counters, {Fate.ADMITTED}),
    "integers": (cast(np.int32), {Fate.WRONG_SCHEMA}),
    "booleans": (cast(np.bool_), {Fate.WRONG_SCHEMA}),
    "doubles": (cast(np.float64), {Fate.WRONG_SCHEMA}),
    "complex numbers": (cast(np.complex64), {Fate.MALFORMED}),
    "0-d": (shaped(()), {Fate.WRONG_SCHEMA}),
    "empty": (shaped((0,)), {Fate.WRONG_SCHEMA}),
    "empty with a side": (shaped((2, 0)), {Fate.WRONG_SCHEMA}),
}


@pytest.fixture
def crowd(world, tmp_path):
    """Eleven clients: ten honest, and the last as it is said."""
    bigger = type(world)(tmp_path, 11)
    for client in bigger.clients:
        client.train = MethodType(honest, client)
    return bigger


def run(crowd, directory, rule, rounds=ROUNDS):
    policy = AggregationPolicy(rule=rule, byzantine=1, max_norm=1e6)
    store = CheckpointStore(directory)
    number = crowd.policy.rounds.model_copy(update={"count": rounds, "min_replies": 10})
    train(crowd.engine(aggregation=policy, rounds=number), store, ManagedApp(lambda _: dict(BASE), None, {}))
    return store.latest().model.arrays


def correct(arrays_, rounds=ROUNDS):
    """Every parameter lies within what honest steps, 0.01 to 0.1, can come to; counters are the honest ones."""
    low, high = 0.01 * rounds * 0.99, 0.1 * rounds * 1.01
    for name, start in (("weights", 0.0), ("half", 0.0), ("scale", 1.0)):
        assert (arrays_[name] >= start + low - 1e-3).all(), name
        assert (arrays_[name] <= start + high + 1e-3).all(), name
    assert arrays_["nothing"].shape == (0, 3)
    assert int(arrays_["steps"]) == rounds
    assert arrays_["mask"].all()
    assert (arrays_["bytes"] == 3).all()


COORDINATE_RULES = {Rule.FED_MEDIAN, Rule.FED_TRIMMED_AVG, Rule.KRUM, Rule.MULTI_KRUM}
"""These keep every coordinate within the honest range; averages of clipped updates keep norms."""


@pytest.mark.parametrize("rule", ROBUST)
@pytest.mark.parametrize("behaviour", BEHAVIOURS)
def test_at_the_edge_of_numbers_and_shapes(crowd, tmp_path, behaviour, rule):
    lie, fates = BEHAVIOURS[behaviour]
    liar = crowd.clients[-1]
    liar.train = MethodType(lie, liar)
    found = run(crowd, tmp_path / "model", rule)
    assert all(record.outcome is Outcome.RELEASED for record in crowd.steward.closed)
    replies = [reply for record in crowd.steward.closed for reply in record.replies]
    assert {reply.fate for reply in replies if reply.client == liar.name} == fates
    assert {reply.fate for reply in replies if reply.client != liar.name} == {Fate.ADMITTED}
    assert all(np.isfinite(array).all() for array in found.values())
    if rule in COORDINATE_RULES:
        correct(found)


def test_the_same_lie_under_plain_averaging_takes_the_model_over(crowd, tmp_path):
    liar = crowd.clients[-1]
    liar.train = MethodType(alternating, liar)
    policy = AggregationPolicy(rule=Rule.FED_AVG)
    store = CheckpointStore(tmp_path / "model")
    rounds = crowd.policy.rounds.model_copy(update={"count": 2})
    train(crowd.engine(aggregation=policy, rounds=rounds), store, ManagedApp(lambda _: dict(BASE), None, {}))
    assert store.latest().model.arrays["weights"].mean() < -50


ANY_ARRAY = arrays(scalar_dtypes(), array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4)) | arrays(
    np.float32, (2, 3), elements=st.floats(width=32)
)
ANYTHING = st.dictionaries(st.sampled_from(list(BASE)) | st.text(max_size=5), ANY_ARRAY, max_size=8)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(sent=st.lists(ANYTHING, min_size=2, max_size=2), complete=st.booleans())
@pytest.mark.parametrize("rule", [Rule.FED_TRIMMED_AVG, Rule.MULTI_KRUM])
def test_no_arrays_end_a_training_or_move_it_out_of_the_honest_range(crowd, tmp_path_factory, rule, sent, complete):
    liar, turns = crowd.clients[-1], iter(sent)

    def anything(self, base):
        arrays_ = next(turns)
        return (honest(self, base) | {name: arrays_[name] for name in arrays_ if name in BASE}) if complete else arrays_

    liar.train = MethodType(anything, liar)
    crowd.steward.closed.clear()
    correct(run(crowd, tmp_path_factory.mktemp("model"), rule, 2), 2)
    assert [record.outcome for record in crowd.steward.closed] == [Outcome.RELEASED] * 2


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    rubble=st.builds(
        Array,
        dtype=st.text(max_size=8) | st.sampled_from(["float32", "object", "<f4"]),
        shape=st.lists(st.integers(0, 2**40), max_size=4).map(tuple),
        stype=st.text(max_size=8) | st.just("numpy.ndarray"),
        data=st.binary(max_size=64) | st.binary(max_size=64).map(lambda tail: b"\x93NUMPY\x01\x00" + tail),
    )
)
def test_no_bytes_in_the_place_of_arrays_end_a_training(crowd, tmp_path_factory, rubble):
    liar = crowd.clients[-1]

    def rubbish(self, message):
        reply = type(self).answer(self, message)
        parts = {name: Array(array) for name, array in BASE.items()}
        parts["weights"] = rubble
        reply.content["arrays"] = pack(parts)
        self.sign(reply)
        return reply

    liar.answer = MethodType(rubbish, liar)
    crowd.steward.closed.clear()
    correct(run(crowd, tmp_path_factory.mktemp("model"), Rule.FED_TRIMMED_AVG, 1), 1)
    (record,) = crowd.steward.closed
    fates = {reply.fate for reply in record.replies if reply.client == liar.name}
    assert fates <= {Fate.MALFORMED, Fate.WRONG_SCHEMA}
