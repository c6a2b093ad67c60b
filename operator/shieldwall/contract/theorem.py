"""What each aggregation rule needs to keep its promise, once: for the API, for the pods and for the documents."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import Final

from shieldwall.contract.policy import PreAggregation, Rule

BUCKET_SIZE: Final = 2
"""s of Bucketing when nothing is said: Karimireddy et al. 2022 find that larger buckets gain little."""


CLIPPING_STEPS: Final = 3
"""L: how many steps centred clipping takes."""


def trim(n: int, f: int, beta: float | None) -> int:
    """How many values a trimmed mean cuts at each end: the larger of f and ⌊beta·n⌋, with beta as written in decimal.

    In binary 0.29·100 is below 29; the cut must not depend on that.
    """
    return max(f, math.floor(Fraction(repr(beta or 0.0)) * n))


@dataclass(frozen=True, slots=True)
class Theorem:
    """A promise that holds for n ≥ ``factor``·f + ``offset`` updates, and needs one update in any case."""

    factor: int
    offset: int
    source: str
    """Author, year and arXiv number."""
    promise: str
    """One sentence for people: what f liars among the n can do."""

    def needed(self, f: int) -> int:
        """The smallest n."""
        return max(self.factor * f + self.offset, 1)

    @property
    def paper(self) -> str:
        """Author and year."""
        return self.source.partition(",")[0]

    @property
    def condition(self) -> str:
        """The inequality as papers write it."""
        if self.offset == 1:
            return f"n > {self.factor}f"
        return f"n >= {self.factor}f" + (f"+{self.offset}" if self.offset else "")


_IN_RANGE: Final = "Each coordinate stays within the range of the honest values."
THEOREMS: Final = {
    Rule.FED_AVG: Theorem(0, 1, "McMahan 2017, arXiv:1602.05629", "One liar moves the model anywhere."),
    # Sun 2019 names no n. With n <= 2f the bound is maxNorm or more, as much as any step may be: it says nothing.
    Rule.CLIPPED_MEAN: Theorem(2, 1, "Sun 2019, arXiv:1911.07963", "They move the mean by at most 2·f·maxNorm/n."),
    Rule.FED_MEDIAN: Theorem(2, 1, "Yin 2018, arXiv:1803.01498", _IN_RANGE),
    Rule.FED_TRIMMED_AVG: Theorem(2, 1, "Yin 2018, arXiv:1803.01498", _IN_RANGE),
    Rule.KRUM: Theorem(
        2, 3, "Blanchard 2017, arXiv:1703.02757", "The chosen update points where the honest mean points."
    ),
    Rule.MULTI_KRUM: Theorem(2, 3, "Blanchard 2017, arXiv:1703.02757", "As Krum, with the variance of select updates."),
    Rule.BULYAN: Theorem(
        4, 3, "El Mhamdi 2018, arXiv:1802.07927", "No coordinate is further than O(σ/√d) from an honest value."
    ),
    Rule.GEOMETRIC_MEDIAN: Theorem(
        2, 1, "Pillutla 2019, arXiv:1912.13445", "Off by at most 2(n−f)/(n−2f) of the honest updates' spread."
    ),
    Rule.CENTERED_CLIPPING: Theorem(
        10, 0, "Karimireddy 2021, arXiv:2012.10333", "They move each step by at most 2·f·maxNorm/n."
    ),
}
PRE_AGGREGATIONS: Final = {
    PreAggregation.NEAREST_NEIGHBOR_MIXING: Theorem(
        2, 1, "Allouah 2023, arXiv:2302.01772", "What clients' different data cost a rule shrinks to O(f/n) of it."
    ),
    PreAggregation.BUCKETING: Theorem(
        2, 1, "Karimireddy 2022, arXiv:2006.09365", "The rule sees ⌈n/s⌉ averages, at most f of them lies."
    ),
}


def replies_needed(
    rule: Rule,
    f: int,
    pre_aggregation: PreAggregation | None = None,
    bucket_size: int | None = None,
    select: int | None = None,
) -> int:
    """The fewest updates of a round for which all that is promised holds; ``select`` is MultiKrum's m ≤ n − f."""
    needed = max(THEOREMS[rule].needed(f), f + select if select is not None else 0)
    if pre_aggregation is None:
        return needed
    needed = max(needed, PRE_AGGREGATIONS[pre_aggregation].needed(f))
    if pre_aggregation is PreAggregation.BUCKETING:
        return filling(needed, bucket_size)
    return needed


def filling(needed: int, bucket_size: int | None) -> int:
    """How many updates make at least ``needed`` buckets."""
    return (bucket_size or BUCKET_SIZE) * (needed - 1) + 1
