"""spec.aggregation: how a round's updates become one."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from shieldwall.contract.policy import PreAggregation, Rule
from shieldwall.contract.theorem import replies_needed
from shieldwall.control.api.fields import ApiModel


class Before(StrEnum):
    """What is done to the updates before the rule."""

    NONE = "None"
    NEAREST_NEIGHBOR_MIXING = PreAggregation.NEAREST_NEIGHBOR_MIXING
    BUCKETING = PreAggregation.BUCKETING


class Aggregation(ApiModel):
    """The aggregation rule and its parameters."""

    rule: Rule = Rule.FED_TRIMMED_AVG
    """The aggregation rule. FedAvg withstands no liar and is refused unless insecure is true."""
    byzantine: Annotated[int, Field(ge=0, le=249)] | None = None
    """f: how many replies of a round may be lies. By default 1, and 0 for FedAvg, which tolerates none."""
    beta: Annotated[float, Field(ge=0, lt=0.5)] | None = None
    """FedTrimmedAvg only: the fraction cut at each end. The larger of it and byzantine/replies is used."""
    select: Annotated[int, Field(ge=1, le=500)] | None = None
    """MultiKrum only: how many updates are averaged. By default the replies less byzantine."""
    pre_aggregation: Before | None = None
    """What is done to the updates before the rule. NearestNeighborMixing averages each with those nearest to it;
    Bucketing averages them in random buckets, of which byzantine may then be lies. By default NearestNeighborMixing
    before FedTrimmedAvg, unless privacy.mode is ClientLevelCentral, and None before other rules."""
    bucket_size: Annotated[int, Field(ge=2, le=250)] | None = None
    """Bucketing only: how many updates are averaged in a bucket. By default 2."""
    max_norm: Annotated[float, Field(gt=0, le=1e12)] | None = None
    """Updates with a larger L2 norm are scaled down to it before they are averaged. CenteredClipping takes it as its
    radius."""
    reject_norm: Annotated[float, Field(gt=0, le=1e12)] = 10_000.0
    """Replies whose update has a larger L2 norm are refused."""
    insecure: bool = False
    """True says out loud that plain FedAvg, which one liar can steer, is wanted."""

    @property
    def tolerated(self) -> int:
        """f, with its default."""
        if self.byzantine is not None:
            return self.byzantine
        return 0 if self.rule is Rule.FED_AVG else 1

    @property
    def before(self) -> PreAggregation | None:
        """What is done before the rule, where it is given."""
        return None if self.pre_aggregation in {None, Before.NONE} else PreAggregation(self.pre_aggregation)

    @property
    def replies_needed(self) -> int:
        """The fewest replies for which the rule's theorem holds (see shieldwall.contract.theorem), select aside.

        The mixing that goes before FedTrimmedAvg by default needs no more.
        """
        return replies_needed(self.rule, self.tolerated, self.before, self.bucket_size)

    @property
    def replies_with_select(self) -> int:
        """The fewest with which a round can be aggregated, what MultiKrum selects included."""
        return replies_needed(self.rule, self.tolerated, self.before, self.bucket_size, self.select)
