"""What a training's status says as numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client.core import GaugeMetricFamily

from shieldwall.control.metrics.seen import OF_TRAINING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from prometheus_client.core import Metric

    from shieldwall.control.cluster.store import Key
    from shieldwall.control.metrics.seen import Seen


def states(seen: Mapping[Key, Seen]) -> Iterator[Metric]:
    """No series of what is not known."""
    stalled = GaugeMetricFamily("shieldwall_training_stalled", "1 while a training needs a human.", labels=OF_TRAINING)
    score = GaugeMetricFamily("shieldwall_training_score", "Security score, 0 to 100.", labels=OF_TRAINING)
    spent = GaugeMetricFamily("shieldwall_training_epsilon_spent", "Privacy loss so far.", labels=OF_TRAINING)
    limit = GaugeMetricFamily("shieldwall_training_epsilon_limit", "Privacy loss allowed.", labels=OF_TRAINING)
    left = GaugeMetricFamily(
        "shieldwall_training_privacy_rounds_left", "Rounds that fit into the privacy loss allowed.", labels=OF_TRAINING
    )
    done = GaugeMetricFamily("shieldwall_training_round", "The last released round.", labels=OF_TRAINING)
    for key, training in seen.items():
        status = training.status
        needs = any(each.type == "Stalled" and each.status == "True" for each in status.conditions)
        stalled.add_metric(key, float(needs))
        if status.security is not None and status.security.score is not None:
            score.add_metric(key, status.security.score)
        if status.privacy is not None and status.privacy.epsilon_target is not None:
            limit.add_metric(key, status.privacy.epsilon_target)
            spent.add_metric(key, status.privacy.epsilon_spent or 0.0)
            if status.privacy.rounds_left is not None:
                left.add_metric(key, status.privacy.rounds_left)
        if status.round is not None:
            done.add_metric(key, status.round)
    yield from (stalled, score, done, spent, limit, left)
