"""DP-SGD for apps of any framework: batches to train on, and a private mean of their per-example gradients.

In a training with ``mode: RecordLevel`` the app asks for the parameters that the policy sets; it cannot change them::

    from shieldwall.runtime.privacy import dp_sgd

    private = dp_sgd.current()
    for batch in private.batches(len(images)):
        gradients = per_example_gradients(weights, images[batch], labels[batch])  # a leading axis of len(batch)
        step = private.gradient(gradients)
        weights = {name: weights[name] - lr * step[name] for name in weights}

Outside of one (plain Flower, tests) the app says itself what holds: ``dp_sgd.current(lambda: DpSgd(...))``.

Each step draws every record with the same probability on its own, so a batch has another size each time and may be
empty; an empty one is a step as well. Source: Abadi et al. 2016 (arXiv:1607.00133), Algorithm 1.
"""

from __future__ import annotations

import math
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from shieldwall.runtime.aggregation.passes import spans, width_for
from shieldwall.runtime.privacy.mechanism import os_generator
from shieldwall.runtime.privacy.record_level import RecordLevel

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    from shieldwall.contract.privacy import PrivacyPolicy

    Matrix = NDArray[np.floating[Any]]

SENSITIVITY: Final = 2.0
"""Of a sum of vectors of norm 1 when one of them is replaced by another."""


class DpSgdError(RuntimeError):
    """The app does not train as DP-SGD does, and nothing of what it made may leave."""


class NoSessionError(DpSgdError):
    """There is no private training to take part in."""

    def __init__(self) -> None:
        super().__init__(
            "no private training is going on in this thread: spec.privacy.mode must be RecordLevel. Outside of"
            " Shieldwall give dp_sgd.current a function that makes a DpSgd"
        )


class TooFewRecordsError(DpSgdError):
    """The client has ``found`` records where the accounting counts on ``needed``: its ε would be larger."""

    def __init__(self, found: int, needed: int) -> None:
        super().__init__(
            f"this client has {found} records and privacy is accounted for at least {needed} (spec.privacy.records):"
            " each of them would be drawn more often than that"
        )
        self.found = found
        self.needed = needed


@dataclass(slots=True)
class _Progress:
    """How far a private training has come."""

    own_records: int | None = None
    taken: int = 0
    drawn: int = 0
    waiting: int | None = None
    """Size of the batch whose gradient may be asked for."""


@dataclass(frozen=True, slots=True)
class DpSgd:
    """The steps of one private training on one client's records, at most ``steps``; its parameters are read-only."""

    clip: float
    """C: the L2 norm to which each record's gradient is clipped."""
    noise_multiplier: float
    """z: the noise on a batch's sum has a standard deviation of z·2C."""
    batch_size: int
    """How many records a step draws in the mean."""
    records: int
    """The fewest records with which a client may train."""
    steps: int
    generator: np.random.Generator = field(default_factory=os_generator, repr=False)
    _progress: _Progress = field(default_factory=_Progress, init=False, repr=False, compare=False)

    @classmethod
    def of(cls, policy: PrivacyPolicy, generator: np.random.Generator) -> DpSgd:
        """What the policy sets; raises UnsoundPrivacyError where it does not say all of it."""
        own = RecordLevel.of(policy)
        return cls(policy.clip, policy.noise_multiplier, own.batch_size, own.records, own.steps, generator)

    def __post_init__(self) -> None:
        """Raise ValueError for parameters that are none; no noise is allowed, to measure what noise costs."""
        if not (0 < self.clip < math.inf and 0 <= self.noise_multiplier < math.inf):
            raise ValueError(
                f"clip {self.clip} must be positive and noise_multiplier {self.noise_multiplier} not less than 0"
            )
        if min(self.batch_size, self.records, self.steps) < 1:
            raise ValueError("batch_size, records and steps are at least 1")

    @property
    def own_records(self) -> int | None:
        """How many this client has; None before ``batches``."""
        return self._progress.own_records

    @property
    def taken(self) -> int:
        """Steps whose gradient was given out."""
        return self._progress.taken

    def batches(self, records: int) -> Iterator[NDArray[np.intp]]:
        """Positions of the records to take, of ``records`` in all, for each step that is left; shape (b,), b ≥ 0.

        Raises TooFewRecordsError, and DpSgdError where the number is not that of before.
        """
        if records < max(self.records, self.batch_size):
            raise TooFewRecordsError(records, max(self.records, self.batch_size))
        if self.own_records not in {None, records}:
            raise DpSgdError(f"one training draws from the same records throughout: {self.own_records}, now {records}")
        self._progress.own_records = records
        return self._batches(records)

    def _batches(self, records: int) -> Iterator[NDArray[np.intp]]:
        while self._progress.drawn < self.steps:
            batch = np.flatnonzero(self.generator.random(records) < self.batch_size / records)
            self._progress.drawn += 1
            self._progress.waiting = len(batch)
            yield batch

    def gradient(self, per_example: Any) -> Any:  # noqa: ANN401  # whatever structure the app's gradients have
        """The private mean gradient of the batch that was drawn last, once.

        ``per_example``: an array, or lists and dicts of arrays, of shape (b, …) each, NumPy's or what ``asarray``
        takes. All arrays of one record are clipped together. Returns NumPy arrays in the same structure, of shape (…)
        and the same dtypes. A record whose gradient is not finite counts as none: an error would tell of it.
        Raises DpSgdError where no batch was drawn or an axis is not the batch's.
        """
        size = self._drawn_last()
        rows = [_rows(leaf, size) for leaf in _leaves(per_example)]
        factors = _factors(rows, self.clip, size)
        self.take()
        means = iter([self._mean(array, factors) for array in rows])
        return _rebuilt(per_example, means)

    def take(self) -> None:
        """Count a step whose gradient another library made private by these parameters; raises as ``gradient`` does."""
        self._drawn_last()
        self._progress.waiting = None
        self._progress.taken += 1

    def _drawn_last(self) -> int:
        waiting = self._progress.waiting
        if waiting is None:
            raise DpSgdError("draw a batch for each gradient: private.batches(records) gives as many as there may be")
        return waiting

    def _mean(self, rows: Matrix, factors: NDArray[np.float64]) -> Matrix:
        flat = rows.reshape(len(rows), -1) if rows.size else np.empty((0, int(np.prod(rows.shape[1:]))), rows.dtype)
        mean = np.empty(flat.shape[1], flat.dtype)
        kept = factors > 0
        for span in spans(slice(0, mean.size), width_for(max(1, len(rows)))):
            total = factors[kept] @ flat[kept, span].astype(np.float64)
            total += SENSITIVITY * self.clip * self.noise_multiplier * self.generator.standard_normal(total.size)
            mean[span] = total / self.batch_size
        return mean.reshape(rows.shape[1:])


_CURRENT: Final[ContextVar[DpSgd | None]] = ContextVar("dp_sgd", default=None)


def current(outside: Callable[[], DpSgd] | None = None) -> DpSgd:
    """The private training that this thread is part of.

    Outside of one it is what ``outside`` makes; raises NoSessionError where that is not given. Within one, ``outside``
    is never asked.
    """
    private = _CURRENT.get()
    if private is not None:
        return private
    if outside is None:
        raise NoSessionError
    return outside()


@contextmanager
def session(private: DpSgd) -> Iterator[DpSgd]:
    """While this lasts, ``current`` is ``private``, in this thread."""
    token = _CURRENT.set(private)
    try:
        yield private
    finally:
        _CURRENT.reset(token)


def _factors(rows: list[Matrix], clip: float, size: int) -> NDArray[np.float64]:
    """What each record's gradient is multiplied by, (b,); 0 where it is not finite."""
    squares = np.zeros(size)
    with np.errstate(over="ignore", invalid="ignore"):
        for array in rows:
            flat = array.reshape(size, -1) if array.size else np.empty((size, 0))
            for span in spans(slice(0, flat.shape[1]), width_for(max(1, size))):
                block = flat[:, span].astype(np.float64)
                squares += np.einsum("ij,ij->i", block, block)
    lengths = np.sqrt(squares)
    within = np.divide(clip, lengths, out=np.ones(size), where=lengths > clip)
    return np.where(np.isfinite(lengths), within, 0.0)


def _rows(leaf: object, size: int) -> Matrix:
    array = np.asarray(leaf)
    if array.dtype.kind != "f":
        raise DpSgdError(f"gradients are arrays of 16, 32 or 64 bit floats; this one has dtype {array.dtype}")
    if array.ndim == 0 or len(array) != size:
        raise DpSgdError(
            f"gradients have one row for each record of the batch, which has {size}; this one has shape {array.shape}"
        )
    return array


def _leaves(tree: object) -> Iterator[object]:
    if isinstance(tree, dict):
        for part in tree.values():
            yield from _leaves(part)
    elif isinstance(tree, list | tuple):
        for part in tree:
            yield from _leaves(part)
    else:
        yield tree


def _rebuilt(tree: object, leaves: Iterator[object]) -> object:
    if isinstance(tree, dict):
        return {name: _rebuilt(part, leaves) for name, part in tree.items()}
    if isinstance(tree, list | tuple):
        return type(tree)([_rebuilt(part, leaves) for part in tree])
    return next(leaves)
