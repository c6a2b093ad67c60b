"""The same rule by Shieldwall, by Flower and by ByzFL, on the same updates."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from harness import byzfl

from shieldwall.contract.policy import AggregationPolicy, PreAggregation, Rule
from shieldwall.runtime.aggregation import Updates, aggregate

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import numpy as np
    from numpy.typing import NDArray

    Run = Callable[[], object]

OURS, FLOWER, BYZFL = "shieldwall", "flower", "byzfl"
_RADIUS: Final = 100.0


@dataclass(frozen=True, slots=True)
class Case:
    """One rule on one matrix."""

    rule: str
    n: int
    d: int
    runs: dict[str, Run]
    bytes_needed: dict[str, int]
    """What a peer allocates that would not fit everywhere."""
    pairs: dict[str, int]
    """Differences of whole updates that a peer makes one by one."""


def cases(matrix: NDArray[np.float32], threads: int) -> Iterator[Case]:
    """Every rule on ``matrix``, (n, d)."""
    # Flower looks at its environment when it is imported.
    from flwr.server.strategy import aggregate as flower

    theirs = byzfl.load()
    n, d = matrix.shape
    f, few = n // 5, (n - 3) // 4
    updates, as_flower = Updates.of(list(matrix)), [([row], 1) for row in matrix]
    mixing, bucketing = PreAggregation.NEAREST_NEIGHBOR_MIXING, PreAggregation.BUCKETING

    def ours(rule: Rule, byzantine: int = f, **fields: object) -> Run:
        policy = AggregationPolicy.model_validate({"rule": rule, "byzantine": byzantine, **fields})
        return lambda: aggregate(updates, policy, 1, threads)

    def case(rule: str, run: Run, in_flower: Run | None, in_byzfl: Run | None, **more: dict[str, int]) -> Case:
        peers = {FLOWER: in_flower, BYZFL: in_byzfl}
        runs = {OURS: run} | {name: peer for name, peer in peers.items() if peer is not None}
        return Case(rule, n, d, runs, more.get("bytes_needed", {}), more.get("pairs", {}))

    yield case(
        "mean",
        ours(Rule.FED_AVG, 0),
        lambda: flower.aggregate(as_flower),
        lambda: theirs.Average()(matrix),
    )
    yield case(
        "mean of clipped updates",
        ours(Rule.CLIPPED_MEAN, max_norm=_RADIUS),
        None,
        lambda: theirs.Average()(theirs.Clipping(_RADIUS)(matrix)),
    )
    yield case(
        "median",
        ours(Rule.FED_MEDIAN),
        lambda: flower.aggregate_median(as_flower),
        lambda: theirs.Median()(matrix),
    )
    yield case(
        "trimmed mean",
        ours(Rule.FED_TRIMMED_AVG),
        lambda: flower.aggregate_trimmed_avg(as_flower, f / n),
        lambda: theirs.TrMean(f)(matrix),
    )
    yield case(
        "Krum",
        ours(Rule.KRUM),
        lambda: flower.aggregate_krum(as_flower, f, 0),
        lambda: theirs.Krum(f)(matrix),
        pairs={FLOWER: n * n, BYZFL: n * n},
    )
    yield case(
        "Multi-Krum",
        ours(Rule.MULTI_KRUM),
        lambda: flower.aggregate_krum(as_flower, f, n - f),
        lambda: theirs.MultiKrum(f)(matrix),
        pairs={FLOWER: n * n, BYZFL: n * n},
    )
    yield case(
        "Bulyan",
        ours(Rule.BULYAN, few),
        lambda: flower.aggregate_bulyan(list(as_flower), few, flower.aggregate_krum, to_keep=0),
        None,
        pairs={FLOWER: sum(left * left for left in range(2 * few + 1, n + 1))},
    )
    yield case("geometric median", ours(Rule.GEOMETRIC_MEDIAN), None, lambda: theirs.GeometricMedian()(matrix))
    yield case(
        "centred clipping",
        ours(Rule.CENTERED_CLIPPING, n // 10, max_norm=_RADIUS),
        None,
        lambda: theirs.CenteredClipping(L=3, tau=_RADIUS)(matrix),
    )
    yield case(
        "NNM + trimmed mean",
        ours(Rule.FED_TRIMMED_AVG, pre_aggregation=mixing),
        None,
        lambda: theirs.TrMean(f)(theirs.NNM(f)(matrix)),
        bytes_needed={BYZFL: n * (n - f) * d * 4},
        pairs={BYZFL: n * n},
    )
    yield case(
        "bucketing + trimmed mean",
        ours(Rule.FED_TRIMMED_AVG, (n - 1) // 4, pre_aggregation=bucketing),
        None,
        lambda: theirs.TrMean((n - 1) // 4)(theirs.Bucketing(2)(matrix)),
    )
