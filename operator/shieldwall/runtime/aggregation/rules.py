"""From a round's updates to one, by the policy's rule."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from shieldwall.contract.policy import Rule
from shieldwall.contract.theorem import trim
from shieldwall.runtime.aggregation.averaging import fed_avg_weights, mean_weights
from shieldwall.runtime.aggregation.bulyan import bulyan_choice
from shieldwall.runtime.aggregation.centered_clipping import centered_clipping_weights
from shieldwall.runtime.aggregation.coordinatewise import mean_around_median, median, trimmed_mean
from shieldwall.runtime.aggregation.geometric_median import geometric_median_weights
from shieldwall.runtime.aggregation.krum import krum_choice
from shieldwall.runtime.aggregation.preconditions import require_theorem
from shieldwall.runtime.aggregation.prepared import Prepared, within
from shieldwall.runtime.aggregation.updates import Aggregate, Updates

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from shieldwall.contract.policy import AggregationPolicy
    from shieldwall.runtime.model import Vector

    Matrix = NDArray[np.float64]

FAR: Final = 1e8
"""Of an update that is so many times longer than the rule looks only its direction counts, to 1/FAR: it is shortened,
or float64 could not tell near updates apart beside it."""


def aggregate(
    updates: Updates, policy: AggregationPolicy, seed: int = 0, threads: int = 1, gram: Matrix | None = None
) -> Aggregate:
    """Make one update of n by the policy's rule: (n, d) → (d,).

    Raises TooFewUpdatesError and UnsoundPolicyError outside the rule's theorem; nothing is ever clamped to fit.
    Neighbours and selections are found among raw updates, and what was selected is clipped; all others clip first.
    ``seed`` draws the buckets of Bucketing. ``gram``, (n, n) in float64, are the updates' inner products where these
    are known already: it saves the pass that makes them. The same updates and seed give the same bytes, on however many
    threads.
    """
    require_theorem(updates, policy)
    return _RULES[policy.rule](Prepared.of(updates, policy, seed, threads, gram), policy)


def _fed_avg(prepared: Prepared, _: AggregationPolicy) -> Aggregate:
    return Aggregate(prepared.average(fed_avg_weights(prepared.num_examples)), None, prepared.clipped)


def _clipped_mean(prepared: Prepared, _: AggregationPolicy) -> Aggregate:
    return Aggregate(prepared.average(mean_weights(len(prepared))), None, prepared.clipped)


def _fed_median(prepared: Prepared, _: AggregationPolicy) -> Aggregate:
    return Aggregate(median(prepared.rows(), prepared.threads), None, prepared.clipped)


def _fed_trimmed_avg(prepared: Prepared, policy: AggregationPolicy) -> Aggregate:
    cut = trim(len(prepared), policy.byzantine, policy.beta)
    return Aggregate(trimmed_mean(prepared.rows(), cut, prepared.threads), None, prepared.clipped)


def _krum(prepared: Prepared, policy: AggregationPolicy) -> Aggregate:
    k, f = len(prepared), policy.byzantine
    m = 1 if policy.rule is Rule.KRUM else policy.select or k - f
    weights = _equal(krum_choice(prepared.seen().squared_distances, f, m), k)
    return _selection(prepared, prepared.average(weights), weights)


def _bulyan(prepared: Prepared, policy: AggregationPolicy) -> Aggregate:
    chosen = bulyan_choice(prepared.seen().squared_distances, policy.byzantine)
    delta = mean_around_median(prepared.rows(chosen), len(chosen) - 2 * policy.byzantine, prepared.threads)
    return _selection(prepared, delta, _equal(chosen, len(prepared)))


def _geometric_median(prepared: Prepared, _: AggregationPolicy) -> Aggregate:
    lengths = prepared.lengths
    scales = np.minimum(prepared.scales, within(lengths, FAR * float(np.median(lengths))))
    return Aggregate(prepared.average(geometric_median_weights(prepared.seen(scales)), scales), None, prepared.clipped)


def _centered_clipping(prepared: Prepared, policy: AggregationPolicy) -> Aggregate:
    radius = policy.max_norm or 0.0
    lengths = prepared.lengths
    scales = within(lengths, FAR * radius)
    weights = centered_clipping_weights(prepared.seen(scales), radius)
    clipped = tuple(int(position) for position in np.flatnonzero(lengths > radius))
    return Aggregate(prepared.average(weights, scales), None, clipped)


def _equal(positions: Sequence[int], k: int) -> Matrix:
    weights = np.zeros(k)
    weights[list(positions)] = 1.0 / len(positions)
    return weights


def _selection(prepared: Prepared, delta: Vector, weights: Matrix) -> Aggregate:
    used = [int(position) for position in np.flatnonzero(prepared.shares(weights))]
    return Aggregate(delta, tuple(used), tuple(position for position in prepared.clipped if position in used))


_RULES: Final[dict[Rule, Callable[[Prepared, AggregationPolicy], Aggregate]]] = {
    Rule.FED_AVG: _fed_avg,
    Rule.CLIPPED_MEAN: _clipped_mean,
    Rule.FED_MEDIAN: _fed_median,
    Rule.FED_TRIMMED_AVG: _fed_trimmed_avg,
    Rule.KRUM: _krum,
    Rule.MULTI_KRUM: _krum,
    Rule.BULYAN: _bulyan,
    Rule.GEOMETRIC_MEDIAN: _geometric_median,
    Rule.CENTERED_CLIPPING: _centered_clipping,
}
