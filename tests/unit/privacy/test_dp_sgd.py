from __future__ import annotations

import sys
import threading
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from shieldwall.runtime.privacy import dp_sgd
from shieldwall.runtime.privacy.dp_sgd import DpSgd, DpSgdError, NoSessionError, TooFewRecordsError
from shieldwall.runtime.privacy.opacus import OpacusMissingError, make_private

ROWS = arrays(np.float64, (5, 3), elements=st.floats(-1e6, 1e6))


def quiet(**own):
    parameters = {"clip": 1.0, "noise_multiplier": 0.0, "batch_size": 20, "records": 100, "steps": 50, **own}
    return DpSgd(**parameters, generator=np.random.default_rng(3))


def mean_of(private, rows):
    """The private mean of rows that are the whole batch."""
    private._progress.waiting = len(rows)
    return private.gradient(rows)


def test_every_record_is_drawn_with_the_same_chance_and_on_its_own():
    private = quiet(records=50, batch_size=10, steps=4000)
    drawn = np.array([np.bincount(batch, minlength=50) for batch in private.batches(50)])

    assert drawn.max() == 1
    assert drawn.mean(axis=0) == pytest.approx(np.full(50, 0.2), abs=0.03)
    assert np.var(drawn.sum(axis=1)) == pytest.approx(50 * 0.2 * 0.8, rel=0.1)  # a fixed size would have none


def test_a_client_with_more_records_draws_each_less_often():
    private = quiet(records=50, batch_size=10, steps=2000)
    sizes = [len(batch) for batch in private.batches(500)]

    assert np.mean(sizes) == pytest.approx(10, rel=0.05)


def test_a_client_with_too_few_records_is_told_how_many_are_needed():
    with pytest.raises(TooFewRecordsError, match="99 records and privacy is accounted for at least 100"):
        quiet(records=100).batches(99)


def test_no_more_steps_are_given_than_the_policy_has_however_often_they_are_asked_for():
    private = quiet(steps=5)

    assert sum(1 for _ in private.batches(100)) == 5
    assert sum(1 for _ in private.batches(100)) == 0


def test_the_records_stay_the_same_throughout():
    private = quiet()
    private.batches(100)
    with pytest.raises(DpSgdError, match="100, now 200"):
        private.batches(200)


@given(rows=ROWS, other=ROWS, place=st.integers(0, 4), clip=st.floats(0.01, 100))
def test_replacing_one_record_moves_the_sum_by_no_more_than_twice_the_clip(rows, other, place, clip):
    replaced = rows.copy()
    replaced[place] = other[place]
    sums = [20 * mean_of(quiet(clip=clip), each) for each in (rows, replaced)]

    assert np.linalg.norm(sums[0] - sums[1]) <= 2 * clip * (1 + 1e-9)


def test_all_arrays_of_a_record_are_clipped_together():
    private = quiet(batch_size=1)
    found = mean_of_tree(private, {"weight": np.full((1, 1, 1), 3.0), "bias": [np.full((1, 1), 4.0)]})

    assert found["weight"] == pytest.approx(np.array([[0.6]]))
    assert found["bias"][0] == pytest.approx(np.array([0.8]))


def mean_of_tree(private, tree, size=1):
    private._progress.waiting = size
    return private.gradient(tree)


def test_the_sum_is_divided_by_the_batch_size_of_the_policy_and_not_by_the_batch():
    found = mean_of(quiet(batch_size=20), np.full((2, 1), 0.5))

    assert found == pytest.approx(np.array([0.05]))


def test_noise_is_that_of_the_sensitivity_when_a_record_is_replaced():
    private = quiet(clip=0.5, noise_multiplier=3.0, batch_size=10)
    found = mean_of(private, np.zeros((4, 50_000)))

    assert found.std() == pytest.approx(3.0 * 2 * 0.5 / 10, rel=0.02)


def test_arrays_of_another_framework_are_taken_as_numpy_sees_them():
    class Foreign:
        def __array__(self, dtype=None, copy=None):
            return np.full((1, 2), 0.5, np.float32)

    assert mean_of_tree(quiet(batch_size=1), [Foreign()])[0] == pytest.approx(np.array([0.5, 0.5]))


def test_an_empty_batch_is_noise_of_the_model_s_shapes():
    private = quiet(noise_multiplier=1.0)
    found = mean_of_tree(private, (np.zeros((0, 3, 4), np.float32), np.zeros((0,))), size=0)

    assert [part.shape for part in found] == [(3, 4), ()]
    assert found[0].dtype == np.float32
    assert np.all(found[0] != 0)


@pytest.mark.parametrize("poison", [np.nan, np.inf, 1e200])
def test_a_gradient_that_is_not_finite_counts_as_none_and_its_neighbours_count(poison):
    rows = np.array([[poison, 0.0], [0.5, 0.5]])
    found = mean_of(quiet(batch_size=1), rows)

    assert found == pytest.approx(np.array([0.5, 0.5]))


def test_many_coordinates_go_through_in_blocks():
    rows = np.random.default_rng(5).normal(size=(7, 60_000)).astype(np.float32)
    found = mean_of(quiet(batch_size=1, clip=2.0), rows)

    wide = rows.astype(np.float64)
    assert found == pytest.approx((wide * 2 / np.linalg.norm(wide, axis=1, keepdims=True)).sum(axis=0), abs=1e-6)


def test_each_batch_has_one_gradient():
    private = quiet()
    batch = next(private.batches(100))
    private.gradient(np.zeros((len(batch), 2)))

    with pytest.raises(DpSgdError, match="draw a batch for each gradient"):
        private.gradient(np.zeros((len(batch), 2)))
    assert private.taken == 1


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (np.zeros((3, 2)), "one row for each record of the batch, which has 4"),
        (np.float64(1.0), "one row for each record"),
        (np.zeros((4, 2), int), "bit floats"),
    ],
)
def test_what_is_no_per_example_gradient_is_refused_and_is_no_step(rows, message):
    private = quiet()
    private._progress.waiting = 4
    with pytest.raises(DpSgdError, match=message):
        private.gradient(rows)
    assert private.taken == 0


def test_outside_of_a_training_the_app_says_what_holds():
    own = quiet()

    assert dp_sgd.current(lambda: own) is own
    with pytest.raises(NoSessionError):
        dp_sgd.current()


def test_within_a_training_the_app_changes_nothing():
    set_by_policy = quiet()
    with dp_sgd.session(set_by_policy) as private:
        assert private is set_by_policy
        assert dp_sgd.current(quiet) is set_by_policy
    with pytest.raises(NoSessionError):
        dp_sgd.current()


@pytest.mark.parametrize(
    "name", ["clip", "noise_multiplier", "batch_size", "records", "steps", "generator", "own_records", "taken", "other"]
)
def test_nothing_of_a_session_can_be_set(name):
    private = quiet()
    before = getattr(private, name, None)
    with pytest.raises((AttributeError, TypeError)):
        setattr(private, name, 7)
    assert getattr(private, name, None) is before


def test_a_thread_beside_the_training_has_no_part_in_it():
    found = []
    with dp_sgd.session(quiet()):
        thread = threading.Thread(target=lambda: found.append(dp_sgd.current(lambda: None)))
        thread.start()
        thread.join()

    assert found == [None]


@pytest.mark.parametrize("wrong", [{"clip": 0.0}, {"noise_multiplier": -1.0}, {"batch_size": 0}, {"steps": 0}])
def test_parameters_that_are_none_are_refused(wrong):
    with pytest.raises(ValueError, match=r"at least 1|must be positive"):
        quiet(**wrong)


def test_two_trainings_draw_different_batches_and_noise():
    first, second = (DpSgd(1.0, 1.0, 20, 100, 5) for _ in range(2))

    assert [batch.tolist() for batch in first.batches(100)] != [batch.tolist() for batch in second.batches(100)]


def test_without_opacus_a_pytorch_app_is_told_what_it_needs(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(OpacusMissingError, match="torch and opacus"):
        make_private(None, None, None)


def test_a_step_that_another_library_made_is_counted_once():
    private = quiet()
    next(private.batches(100))
    private.take()

    assert private.taken == 1
    with pytest.raises(DpSgdError, match="draw a batch"):
        private.take()


class Passes:
    """A model, and Opacus' model and optimizer, as far as ``make_private`` knows them; each batch is a pass."""

    grad_accumulation_allowed, accumulated_iterations, training = True, 1, True

    def __init__(self, *modules, **parameters):
        self.inside = modules
        self.__dict__.update(parameters)

    def parameters(self):
        yield SimpleNamespace(device="cpu")

    def modules(self):
        return [self]

    def register_forward_pre_hook(self, hook):
        self.forward = hook

    def forbid_grad_accumulation(self):
        self.grad_accumulation_allowed = False

    def attach_step_hook(self, hook):
        self.hook = hook

    def signal_skip_step(self):
        pass

    def manual_seed(self, _):
        pass


@pytest.fixture
def without_opacus(monkeypatch):
    """What ``make_private`` makes of a session where torch and opacus are stand-ins; the real ones: make test-torch."""
    data = SimpleNamespace(DataLoader=Passes)
    stand_ins = {
        "torch": SimpleNamespace(Generator=Passes, utils=SimpleNamespace(data=data), is_grad_enabled=lambda: True),
        "opacus": SimpleNamespace(GradSampleModule=Passes),
        "opacus.optimizers": SimpleNamespace(DPOptimizer=Passes),
        "opacus.validators": SimpleNamespace(ModuleValidator=SimpleNamespace(validate=lambda *_, **__: None)),
    }
    for name, module in stand_ins.items():
        monkeypatch.setitem(sys.modules, name, module)
    loader = SimpleNamespace(dataset=range(100), collate_fn=list)
    return lambda private: make_private(Passes(), None, loader, private)


def test_opacus_is_told_that_gradients_may_not_add_up_over_batches(without_opacus):
    model, _, _ = without_opacus(quiet())

    assert not model.grad_accumulation_allowed


def test_opacus_makes_one_forward_pass_for_each_step(without_opacus):
    private = quiet()
    clipping, optimizer, _ = without_opacus(private)
    (model,) = clipping.inside
    for _ in private.batches(100):
        model.forward(model, ())
        with pytest.raises(DpSgdError, match="a step is made of one forward pass"):
            model.forward(model, ())
        model.training = False
        model.forward(model, ())
        model.training = True
        optimizer.hook(optimizer)
    assert private.taken > 1


def test_opacus_may_not_leave_a_step_out_and_add_its_gradients_to_the_next(without_opacus):
    _, optimizer, _ = without_opacus(quiet())
    with pytest.raises(DpSgdError, match="adds gradients of several passes up"):
        optimizer.signal_skip_step()


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("accumulated_iterations", 2, "one backward pass, not of 2"),
        ("noise_multiplier", 0.0, "the policy sets"),
        ("max_grad_norm", 1e9, "the policy sets"),
    ],
)
def test_a_step_of_opacus_that_is_not_the_policy_s_is_none(without_opacus, name, value, told):
    private = quiet(noise_multiplier=1.5)
    _, optimizer, _ = without_opacus(private)
    batches = private.batches(100)
    next(batches)
    optimizer.hook(optimizer)
    assert private.taken == 1

    next(batches)
    setattr(optimizer, name, value)
    with pytest.raises(DpSgdError, match=told):
        optimizer.hook(optimizer)
    assert private.taken == 1
