"""Every strategy that Flower has: it runs behind the policy's Grid as it is, or is refused with the reason."""

from inspect import isabstract, isclass
from types import MethodType

import numpy as np
import pytest
from flwr.app import Array, ArrayRecord, MetricRecord
from flwr.server import workflow
from flwr.server.workflow import SecAggPlusWorkflow, SecAggWorkflow
from flwr.serverapp import ServerApp, strategy
from hypothesis import given
from hypothesis import strategies as st

from shieldwall.contract.policy import Rule
from shieldwall.contract.records import Fate
from shieldwall.runtime.checkpoint import CheckpointStore
from shieldwall.runtime.federation.dtypes import as_sent_first
from shieldwall.runtime.federation.strategies import REFUSED, UnsafeStrategyError, refusing, require_message_api
from shieldwall.runtime.federation.wrapped import PolicyGrid
from shieldwall.runtime.model import Schema, model_sha256
from shieldwall.runtime.serverapp import serve

TRAIN_ONLY = {"fraction_evaluate": 0.0, "min_evaluate_nodes": 0, "min_available_nodes": 5}
AVERAGES = {
    strategy.FedAvg: {},
    strategy.FedProx: {"proximal_mu": 0.1},
    strategy.FedMedian: {},
    strategy.FedTrimmedAvg: {},
    strategy.Krum: {"num_malicious_nodes": 1},
    strategy.MultiKrum: {"num_malicious_nodes": 1, "num_nodes_to_select": 2},
    strategy.Bulyan: {"num_malicious_nodes": 0},
}
"""What these make of equal replies is the reply."""
OPTIMISERS = {
    strategy.FedAvgM: {"server_momentum": 0.5},
    strategy.FedAdagrad: {"eta": 0.01},
    strategy.FedAdam: {"eta": 0.01},
    strategy.FedYogi: {"eta": 0.01},
}
"""These take the aggregate as a gradient."""
ARGUMENTS = {
    strategy.DifferentialPrivacyServerSideFixedClipping: (strategy.FedAvg(), 1.0, 1.0, 5),
    strategy.DifferentialPrivacyClientSideFixedClipping: (strategy.FedAvg(), 1.0, 1.0, 5),
    strategy.DifferentialPrivacyServerSideAdaptiveClipping: (strategy.FedAvg(), 0.1, 5),
    strategy.DifferentialPrivacyClientSideAdaptiveClipping: (strategy.FedAvg(), 0.1, 5),
    strategy.QFedAvg: (0.1,),
    SecAggPlusWorkflow: (3, 2),
    SecAggWorkflow: (2,),
}
WORKFLOWS = {SecAggPlusWorkflow, SecAggWorkflow}
RULE = Rule.FED_TRIMMED_AVG


def all_strategies():
    found = {kind for kind in vars(strategy).values() if isclass(kind) and issubclass(kind, strategy.Strategy)}
    return {kind for kind in found if not isabstract(kind)}


def test_there_is_an_answer_for_every_strategy():
    assert all_strategies() == set(AVERAGES) | set(OPTIMISERS) | set(REFUSED) - WORKFLOWS


def test_there_is_an_answer_for_every_workflow_of_secure_aggregation():
    found = {kind for name, kind in vars(workflow).items() if "SecAgg" in name}
    assert found == WORKFLOWS <= set(REFUSED)


FIRST = {"weights": np.zeros((2, 3), np.float32), "scale": np.array(1.0, np.float32), "steps": np.array(7, np.int64)}


def as_torch_does(self, arrays):
    """A local model keeps its own dtypes; what it is sent is what the round's digest is of."""
    assert model_sha256(arrays) == self.facts.base_sha256
    moved = {name: np.asarray(arrays[name]) + self.step for name in ("weights", "scale")}
    return {
        **{name: np.asarray(value, np.float32) for name, value in moved.items()},
        "steps": np.asarray(arrays["steps"] + 5).astype(np.int64),
    }


def lie(self, arrays):
    return {**as_torch_does(self, arrays), "weights": np.full((2, 3), -1000.0, np.float32)}


def claim_everything(self, reply):
    reply.content["metrics"] = MetricRecord({"num-examples": -(10**15), "loss": -1e9})
    type(self).sign(self, reply)


def start(world, tmp_path, kind, options, rounds=3):
    for client in world.clients:
        client.train = MethodType(as_torch_does, client)
    liar = world.clients[-1]
    liar.train, liar.sign = MethodType(lie, liar), MethodType(claim_everything, liar)
    initial = ArrayRecord(array_dict={name: Array(array) for name, array in FIRST.items()})
    with refusing(RULE):
        user = kind(**TRAIN_ONLY, **options)
        grid = PolicyGrid(world.engine(), CheckpointStore(tmp_path / "model"))
        return user.start(grid=grid, initial_arrays=initial, num_rounds=rounds, timeout=30)


@pytest.mark.parametrize("kind", AVERAGES)
def test_an_average_of_any_kind_is_the_rules_aggregate(world, tmp_path, kind):
    result = start(world, tmp_path, kind, AVERAGES[kind])
    # Of 0.01 … 0.04 and the lie, one is cut at each end: 0.02 a round.
    np.testing.assert_allclose(result.arrays["weights"].numpy(), 0.06, rtol=1e-5)
    assert result.train_metrics_clientapp[3]["loss"] == pytest.approx(0.5)


@pytest.mark.parametrize("kind", OPTIMISERS)
def test_a_server_optimiser_steps_along_the_rules_aggregate(world, tmp_path, kind):
    result = start(world, tmp_path, kind, OPTIMISERS[kind])
    weights = result.arrays["weights"].numpy()
    assert (weights > 0).all()
    assert (weights < 1).all()


@pytest.mark.parametrize("kind", AVERAGES | OPTIMISERS)
def test_clients_that_keep_their_dtypes_are_admitted_in_every_round(world, tmp_path, kind):
    start(world, tmp_path, kind, (AVERAGES | OPTIMISERS)[kind])
    assert [record.round for record in world.steward.closed] == [1, 2, 3]
    assert {reply.fate for record in world.steward.closed for reply in record.replies} == {Fate.ADMITTED}
    model = CheckpointStore(tmp_path / "model").latest().model
    assert {name: array.dtype.str for name, array in model.arrays.items()} == {
        "weights": "<f4",
        "scale": "<f4",
        "steps": "<i8",
    }


@pytest.mark.parametrize("kind", REFUSED)
def test_what_cannot_be_made_safe_is_refused_with_the_reason_when_it_is_made(kind):
    derived = type("Own", (kind,), {})
    for made in (kind, derived):
        with refusing(RULE), pytest.raises(UnsafeStrategyError, match=kind.__name__) as caught:
            made(*ARGUMENTS.get(kind, ()))
        assert REFUSED[kind].format(rule="FedTrimmedAvg") in str(caught.value)


@pytest.mark.parametrize("kind", REFUSED)
def test_outside_of_a_wrapped_training_flower_is_as_it_was(kind):
    before = kind.__init__
    with refusing(RULE):
        pass
    assert kind.__init__ is before
    assert isinstance(kind(*ARGUMENTS.get(kind, ())), kind)


def test_a_server_app_of_the_older_api_is_refused():
    with pytest.raises(UnsafeStrategyError, match="in a round of its own"):
        require_message_api(ServerApp(server_fn=lambda _: None))
    require_message_api(ServerApp())


@pytest.mark.parametrize(
    ("place", "error"),
    [
        ("strategy = QFedAvg(0.1)\napp = ServerApp()\n@app.main()\ndef main(grid, context): pass", UnsafeStrategyError),
        ("app = ServerApp()\n@app.main()\ndef main(grid, context): QFedAvg(0.1)", UnsafeStrategyError),
        ("app = ServerApp(server_fn=lambda context: None)", UnsafeStrategyError),
        ("app = ServerApp()\n@app.main()\ndef main(grid, context): SecAggPlusWorkflow(3, 2)", UnsafeStrategyError),
        ("app = ServerApp()\n@app.main()\ndef main(grid, context): raise KeyError(grid)", KeyError),
    ],
)
def test_the_aggregator_runs_the_users_app_so_that_these_are_refused(tmp_path, monkeypatch, place, error):
    name = f"user_{abs(hash(place))}"
    imports = (
        "from flwr.server.workflow import SecAggPlusWorkflow\n"
        "from flwr.serverapp import ServerApp\nfrom flwr.serverapp.strategy import QFedAvg\n"
    )
    (tmp_path / f"{name}.py").write_text(imports + place)
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(error):
        serve(f"{name}:app", "the grid", None, RULE)
    assert isinstance(strategy.QFedAvg(0.1), strategy.QFedAvg)


@pytest.mark.parametrize("claim", [{"num-examples": 1, "share": -4.0}, {"num-examples": 1, "share": 1e300}])
def test_a_weight_of_another_name_cannot_be_used_to_end_the_run(world, tmp_path, claim):
    def weigh(self, reply):
        reply.content["metrics"] = MetricRecord(
            claim if self is world.clients[-1] else {"num-examples": 1, "share": 1.0}
        )
        type(self).sign(self, reply)

    for client in world.clients:
        client.sign = MethodType(weigh, client)
    initial = ArrayRecord(array_dict={"weights": Array(np.zeros((2, 3), np.float32))})
    grid = PolicyGrid(world.engine(), CheckpointStore(tmp_path / "model"))
    user = strategy.FedAvg(**TRAIN_ONLY, weighted_by_key="share")
    result = user.start(grid=grid, initial_arrays=initial, num_rounds=2, timeout=30)
    # −4 and four times 1 sum to 0: a division by zero. 10³⁰⁰ makes every other claim nothing.
    np.testing.assert_allclose(result.arrays["weights"].numpy(), 0.06, rtol=1e-5)


NUMBERS = st.floats(allow_nan=True, allow_infinity=True) | st.integers(-(2**70), 2**70).map(float)
DTYPES = st.sampled_from(["<i8", "<i4", "|u1", "|b1", "<f4", "<f2"])


@given(st.lists(NUMBERS, min_size=1, max_size=5), DTYPES)
def test_any_number_can_be_brought_back_to_any_dtype(numbers, dtype):
    first = Schema.of({"counter": np.zeros(len(numbers), dtype), "weights": np.zeros(1, np.float32)})
    arrays = {"counter": np.array(numbers), "weights": np.ones(1)}
    found = as_sent_first(arrays, first)
    assert {name: array.dtype.str for name, array in found.items()} == {"counter": dtype, "weights": "<f4"}
    if dtype == "<i8":
        exact = [number for number in numbers if np.isfinite(number)]
        clipped = [min(max(round(number), -(2**63)), 2**63 - 1024) for number in exact]
        assert [int(value) for value, number in zip(found["counter"], numbers, strict=True) if np.isfinite(number)] == (
            clipped
        )


def test_arrays_of_another_schema_are_left_as_they_are():
    first = Schema.of({"weights": np.zeros(2, np.float32)})
    for arrays in ({"weights": np.zeros(3)}, {"other": np.zeros(2)}):
        found = as_sent_first(arrays, first)
        assert [array.dtype for array in found.values()] == [np.float64]
