"""What stewards tell, next to what specs want."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

from shieldwall.control.metrics.seen import OF_TRAINING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from prometheus_client.core import Metric

    from shieldwall.control.cluster.store import Key
    from shieldwall.control.metrics.seen import Seen


def stewards(seen: Mapping[Key, Seen]) -> Iterator[Metric]:
    """What the steward said last counts until it says something else."""
    rounds = GaugeMetricFamily("shieldwall_training_rounds", "Rounds wanted.", labels=OF_TRAINING)
    ready = GaugeMetricFamily("shieldwall_training_clients_ready", "Clients connected.", labels=OF_TRAINING)
    wanted = GaugeMetricFamily("shieldwall_training_clients_wanted", "Clients of the spec.", labels=OF_TRAINING)
    least = GaugeMetricFamily("shieldwall_training_min_replies", "Replies that a round needs.", labels=OF_TRAINING)
    banned = GaugeMetricFamily(
        "shieldwall_training_clients_banned", "Clients banned for not contributing.", labels=OF_TRAINING
    )
    refused = CounterMetricFamily("shieldwall_replies_refused", "Replies refused.", labels=OF_TRAINING)
    failed = CounterMetricFamily(
        "shieldwall_handshake_failures",
        "Handshakes that the server refused.",
        labels=[*OF_TRAINING, "listener", "cause"],
    )
    for key, training in seen.items():
        if training.sight is None:
            continue
        spec, steward = training.sight.training.spec, training.sight.steward
        rounds.add_metric(key, spec.rounds.count)
        wanted.add_metric(key, len(spec.clients))
        least.add_metric(key, spec.min_replies)
        if steward is not None:
            clients = steward.status.clients
            ready.add_metric(key, sum(client.online for client in clients))
            banned.add_metric(key, sum(client.banned_since is not None for client in clients))
            refused.add_metric(key, sum(client.refused for client in clients))
            for name, count in steward.status.handshakes.items():
                listener, _, cause = name.partition(".")
                failed.add_metric([*key, listener, cause], count)
    yield from (rounds, ready, wanted, least, banned, refused, failed)
