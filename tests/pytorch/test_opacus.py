"""PyTorch apps by Opacus; see ``make test-torch``."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from opacus.utils.batch_memory_manager import BatchMemoryManager
from opacus.validators.errors import UnsupportedModuleError
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from shieldwall.runtime.privacy import dp_sgd
from shieldwall.runtime.privacy.dp_sgd import DpSgd, DpSgdError, TooFewRecordsError
from shieldwall.runtime.privacy.opacus import make_private

RECORDS = 200
pytestmark = pytest.mark.filterwarnings("ignore:Full backward hook")  # Opacus hooks the first layer, too


def made(clip=1.0, noise_multiplier=0.0, batch_size=50, steps=4, seed=3):
    return DpSgd(clip, noise_multiplier, batch_size, RECORDS, steps, np.random.default_rng(seed))


def app(private, records=RECORDS, scale=1.0, module=None):
    """A linear model of one output, its optimizer of learning rate 1, and its loader."""
    torch.manual_seed(1)
    inputs, wanted = torch.randn(records, 3) * scale, torch.randn(records, 1) * scale
    model = module or nn.Linear(3, 1, bias=False)
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
    return make_private(model, optimizer, DataLoader(TensorDataset(inputs, wanted), batch_size=7), private)


def step(model, optimizer, inputs, wanted):
    optimizer.zero_grad()
    nn.functional.mse_loss(model(inputs), wanted).backward()
    optimizer.step()


def weights(model):
    return torch.cat([part.detach().reshape(-1) for part in model.parameters()]).numpy().copy()


def test_the_loader_draws_what_dp_sgd_draws():
    private, same = made(), made()
    same.generator.integers(2**63)  # the seed of the noise
    model, optimizer, loader = app(private)
    sizes = []
    for inputs, wanted in loader:
        sizes.append(len(inputs))
        step(model, optimizer, inputs, wanted)

    assert sizes == [len(batch) for batch in same.batches(RECORDS)]
    assert private.taken == 4
    assert list(loader) == []


def test_each_record_s_gradient_is_clipped_and_the_sum_divided_by_the_policy_s_batch():
    private = made(clip=0.5, steps=1)
    model, optimizer, loader = app(private, scale=100.0)
    before = weights(model)
    for inputs, wanted in loader:
        rows = 2 * (inputs @ torch.tensor(before)[:, None] - wanted) * inputs
        clipped = rows * torch.clamp(0.5 / rows.norm(dim=1, keepdim=True), max=1.0)
        step(model, optimizer, inputs, wanted)

    assert before - weights(model) == pytest.approx(clipped.sum(dim=0).numpy() / 50, rel=1e-3)


def test_the_noise_is_that_of_a_replaced_record_and_of_the_session_s_generator():
    torch.manual_seed(7)
    wide = nn.Linear(3, 20_000, bias=False)
    private = made(noise_multiplier=2.0, clip=0.25, steps=1)
    inputs, wanted = torch.zeros(RECORDS, 3), torch.zeros(RECORDS, 20_000)
    optimizer = torch.optim.SGD(wide.parameters(), lr=1.0)
    model, optimizer, loader = make_private(wide, optimizer, DataLoader(TensorDataset(inputs, wanted)), private)
    before = weights(model)
    for batch in loader:
        step(model, optimizer, *batch)

    assert np.std(weights(model) - before) == pytest.approx(2.0 * 2 * 0.25 / 50, rel=0.02)


def test_a_seed_of_the_app_does_not_reach_the_noise():
    moves = []
    for seed in (1, 2):
        model, optimizer, loader = app(made(noise_multiplier=1.0, steps=1, seed=seed))
        torch.manual_seed(99)
        for batch in loader:
            step(model, optimizer, *batch)
        moves.append(weights(model))
    assert not np.allclose(moves[0], moves[1])


def test_an_empty_batch_is_a_step_of_noise():
    private = DpSgd(1.0, 1.0, 1, RECORDS, 40, np.random.default_rng(5))
    model, optimizer, loader = app(private)
    sizes = []
    for inputs, wanted in loader:
        sizes.append(len(inputs))
        step(model, optimizer, inputs, wanted)

    assert 0 in sizes
    assert private.taken == 40
    assert np.isfinite(weights(model)).all()


def test_a_second_step_on_one_batch_is_refused():
    model, optimizer, loader = app(made())
    inputs, wanted = next(iter(loader))
    step(model, optimizer, inputs, wanted)
    with pytest.raises(DpSgdError, match="draw a batch"):
        step(model, optimizer, inputs, wanted)


def backward(model, inputs, wanted):
    nn.functional.mse_loss(model(inputs), wanted).backward()


def test_two_forward_passes_before_a_step_are_refused():
    private = made()
    model, _, loader = app(private)
    inputs, wanted = next(iter(loader))
    with pytest.raises(DpSgdError, match="a step is made of one forward pass"):
        (
            nn.functional.mse_loss(model(inputs), wanted) + nn.functional.mse_loss(model(inputs.flip(0)), wanted)
        ).backward()
    assert private.taken == 0


def test_gradients_do_not_add_up_over_batches():
    model, _, loader = app(made())
    batches = iter(loader)
    backward(model, *next(batches))
    with pytest.raises(DpSgdError, match="a step is made of one forward pass"):
        backward(model, *next(batches))


def test_the_model_inside_is_counted_too():
    inner = nn.Linear(3, 1, bias=False)
    model, _, loader = app(made(), module=inner)
    batches = iter(loader)
    backward(model, *next(batches))
    with pytest.raises(DpSgdError, match="a step is made of one forward pass"):
        backward(inner, *next(batches))


def test_a_measurement_between_two_steps_is_no_pass():
    private = made()
    model, optimizer, loader = app(private)
    for inputs, wanted in loader:
        model.eval()
        model(inputs)
        model.train()
        with torch.no_grad():
            model(inputs)
        step(model, optimizer, inputs, wanted)
    assert private.taken == 4


def without_the_count(model):
    """As an app would have it that takes the hook away."""
    model._module._forward_pre_hooks.clear()
    return model


def test_a_record_in_two_rows_of_two_passes_would_count_twice():
    """What the count of passes is for: Opacus clips rows, and a record in two of them moves the sum by two clips."""
    private = made(clip=0.5, steps=1)
    model, optimizer, loader = app(private, scale=100.0)
    before, (inputs, _) = weights(model), next(iter(loader))
    one, other = inputs[:1].repeat(2, 1), torch.zeros(1, 3)
    without_the_count(model)
    passes = [torch.cat([one[:1], other]), torch.cat([other, one[:1]])]
    sum((model(rows) * 1000).mean() for rows in passes).backward()
    optimizer.step()
    assert np.linalg.norm((before - weights(model)) * 50) == pytest.approx(2 * 0.5, rel=1e-3)


def test_passes_of_which_each_has_a_backward_are_refused_also_where_an_app_allows_them():
    private = made()
    model, optimizer, loader = app(private)
    without_the_count(model).allow_grad_accumulation()
    before, batches = weights(model), iter(loader)
    backward(model, *next(batches))
    backward(model, *next(batches))
    with pytest.raises(DpSgdError, match="one backward pass, not of 2"):
        optimizer.step()
    assert private.taken == 0
    assert (weights(model) == before).all()


def test_gradients_of_an_earlier_step_do_not_add_up_where_only_the_model_is_cleared():
    model, optimizer, loader = app(made())
    batches = iter(loader)
    step(model, optimizer, *next(batches))
    model.zero_grad()
    backward(model, *next(batches))
    with pytest.raises(ValueError, match="cleared"):
        optimizer.step()


def test_opacus_batch_memory_manager_is_refused():
    _, optimizer, loader = app(made())
    with (
        BatchMemoryManager(data_loader=loader, max_physical_batch_size=8, optimizer=optimizer) as pieces,
        pytest.raises(DpSgdError, match="without BatchMemoryManager"),
    ):
        next(iter(pieces))


@pytest.mark.parametrize(("name", "value"), [("noise_multiplier", 0.0), ("max_grad_norm", 1e9)])
def test_an_optimizer_whose_noise_or_clip_was_changed_makes_no_step(name, value):
    private = made(noise_multiplier=1.0)
    model, optimizer, loader = app(private)
    setattr(optimizer, name, value)
    before = weights(model)
    with pytest.raises(DpSgdError, match="leave it as make_private made it"):
        step(model, optimizer, *next(iter(loader)))
    assert private.taken == 0
    assert (weights(model) == before).all()


def test_a_client_with_too_few_records_does_not_train():
    with pytest.raises(TooFewRecordsError):
        app(made(), records=RECORDS - 1)


def test_a_layer_that_mixes_records_is_refused():
    with pytest.raises(UnsupportedModuleError):
        app(made(), module=nn.Sequential(nn.Linear(3, 1), nn.BatchNorm1d(1)))


def test_within_a_training_the_policy_s_parameters_hold():
    with dp_sgd.session(made(steps=2)) as private:
        model, optimizer, loader = app(None)
        for batch in loader:
            step(model, optimizer, *batch)
    assert private.taken == 2
