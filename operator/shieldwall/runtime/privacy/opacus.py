"""DP-SGD for PyTorch apps, by Opacus: the training loop stays as it is, and is handed another model and loader.

For example::

    model, optimizer, loader = make_private(model, optimizer, loader)
    for images, labels in loader:  # once: these are all the steps
        optimizer.zero_grad()
        loss(model(images), labels).backward()
        optimizer.step()

Opacus clips the gradients of single records and adds the noise. How much, which records a step takes, and how many
steps there are, is what ``dp_sgd`` says. Opacus' own accountant is not asked: it counts another adjacency.

Each batch is one forward and backward pass and one step. Gradients that add up over passes are refused, and so are two
forward passes before a step and Opacus' ``BatchMemoryManager``: a record that is in two of them would move the sum by
twice what the noise is for. Passes of the whole model are counted; an app that calls its layers one by one is not seen.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from shieldwall.runtime.privacy.dp_sgd import SENSITIVITY, DpSgd, DpSgdError, current

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_SEEDS: Final = 2**63


class OpacusMissingError(DpSgdError):
    """The app's image does not hold Opacus."""

    def __init__(self) -> None:
        super().__init__("a private PyTorch app needs the packages torch and opacus in its image")


def make_private(
    model: Any,  # noqa: ANN401  # torch's types, and torch may be missing
    optimizer: Any,  # noqa: ANN401
    loader: Any,  # noqa: ANN401
    private: DpSgd | None = None,
) -> tuple[Any, Any, Any]:
    """The model, optimizer and loader to train with instead of these; ``private`` is ``dp_sgd.current()`` if not given.

    The loss is the mean over a batch. Of ``loader`` the data set and the collating are used; records are loaded in this
    process, one batch at a time. The optimizer has all of the model's parameters. Raises OpacusMissingError,
    NoSessionError, TooFewRecordsError, and what Opacus does for layers that mix records, such as BatchNorm.
    """
    try:
        import torch
        from opacus import GradSampleModule
        from opacus.optimizers import DPOptimizer
        from opacus.validators import ModuleValidator
    except ImportError as error:
        raise OpacusMissingError from error
    private = current() if private is None else private
    ModuleValidator.validate(model, strict=True)
    seeded = torch.Generator(device=next(model.parameters()).device)
    seeded.manual_seed(int(private.generator.integers(_SEEDS)))
    noised = DPOptimizer(
        optimizer,
        noise_multiplier=SENSITIVITY * private.noise_multiplier,
        max_grad_norm=private.clip,
        expected_batch_size=private.batch_size,
        generator=seeded,
    )
    passes = _Passes()
    model.register_forward_pre_hook(passes)
    noised.attach_step_hook(lambda made: _count(private, made, passes))
    noised.signal_skip_step = _refuse_to_skip
    drawn = torch.utils.data.DataLoader(
        loader.dataset,
        batch_sampler=_Batches(private, len(loader.dataset)),
        collate_fn=_also_empty(loader.collate_fn, loader.dataset),
    )
    clipping = GradSampleModule(model)
    clipping.forbid_grad_accumulation()
    return clipping, noised, drawn


class _Passes:
    """Forward passes since the last step, but for those by which nothing is learned."""

    def __init__(self) -> None:
        self._made = 0

    def __call__(self, model: Any, _: object) -> None:  # noqa: ANN401  # as above
        """Count one, before it is made; raises DpSgdError for a second."""
        from torch import is_grad_enabled

        if not is_grad_enabled() or not any(part.training for part in model.modules()):
            return
        if self._made:
            raise DpSgdError(
                "a step is made of one forward pass: a record that is in two of them, in different rows, counts twice."
                " Call optimizer.step() for each batch, and measure under torch.no_grad()"
            )
        self._made = 1

    def begin(self) -> None:
        """Begin the next step."""
        self._made = 0


def _count(private: DpSgd, made: Any, passes: _Passes) -> None:  # noqa: ANN401  # as above
    """Count the step of a DPOptimizer, before it moves the model; raises DpSgdError where it was not the policy's."""
    if made.accumulated_iterations != 1:
        raise DpSgdError(
            f"a step is made of one backward pass, not of {made.accumulated_iterations}: call optimizer.step() and"
            " optimizer.zero_grad() for each batch"
        )
    used = {"noise_multiplier": made.noise_multiplier, "max_grad_norm": made.max_grad_norm}
    asked = {"noise_multiplier": SENSITIVITY * private.noise_multiplier, "max_grad_norm": private.clip}
    if used != asked:
        raise DpSgdError(f"the policy sets {asked}, and the optimizer has {used}: leave it as make_private made it")
    private.take()
    passes.begin()


def _refuse_to_skip(do_skip: object = True) -> None:  # noqa: FBT002  # Opacus' own signature
    raise DpSgdError(
        f"signal_skip_step({do_skip}) adds gradients of several passes up: make a step of each batch, without"
        " BatchMemoryManager"
    )


class _Batches:
    """The positions of the records of each step."""

    def __init__(self, private: DpSgd, records: int) -> None:
        self._private = private
        self._batches = private.batches(records)

    def __iter__(self) -> Iterator[list[int]]:
        return ([int(place) for place in batch] for batch in self._batches)

    def __len__(self) -> int:
        return self._private.steps


def _also_empty(collate: Callable[[list[Any]], Any], records: Any) -> Callable[[list[Any]], Any]:  # noqa: ANN401  # as above
    """A batch that drew nothing is as any other, with no row."""
    return lambda batch: collate(batch) if batch else _emptied(collate([records[0]]))


def _emptied(batch: Any) -> Any:  # noqa: ANN401  # as above
    if isinstance(batch, dict):
        return {name: _emptied(part) for name, part in batch.items()}
    return type(batch)(_emptied(part) for part in batch) if isinstance(batch, list | tuple) else batch[:0]
