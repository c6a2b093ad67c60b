"""From the admitted updates of a round to one."""

from shieldwall.runtime.aggregation.counters import aggregate_counters
from shieldwall.runtime.aggregation.preconditions import TooFewUpdatesError, UnsoundPolicyError, required_replies
from shieldwall.runtime.aggregation.rules import aggregate
from shieldwall.runtime.aggregation.update_statistics import UpdateStatistics, update_statistics
from shieldwall.runtime.aggregation.updates import Aggregate, Updates

__all__ = [
    "Aggregate",
    "TooFewUpdatesError",
    "UnsoundPolicyError",
    "UpdateStatistics",
    "Updates",
    "aggregate",
    "aggregate_counters",
    "required_replies",
    "update_statistics",
]
