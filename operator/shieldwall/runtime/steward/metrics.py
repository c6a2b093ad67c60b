"""Prometheus metrics of the training, computed from the steward's books when they are asked for.

Base units, and labels that are bounded: clients of the policy, and words of closed enums.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, TypeVar

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from shieldwall.contract.records import Flag, Outcome, Phase, ReplyRecord
from shieldwall.runtime.steward.sightings import UNKNOWN

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from shieldwall.runtime.steward.office import Office

T = TypeVar("T")
_EVALUATION = {
    "accuracy": ("shieldwall_accuracy_ratio", "Accuracy of the last released model."),
    "loss": ("shieldwall_loss", "Loss of the last released model."),
}


def registry_for(office: Office) -> CollectorRegistry:
    """A registry of its own that holds this training's metrics and nothing else."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Books(office))
    return registry


def render(registry: CollectorRegistry) -> bytes:
    """The text that Prometheus reads."""
    return generate_latest(registry)


class _Books(Collector):
    def __init__(self, office: Office) -> None:
        self._office = office

    def collect(self) -> Iterator[Metric]:
        yield from _progress(self._office)
        yield from _replies(self._office)
        yield from _updates(self._office)
        yield from _clients(self._office)
        yield from _standings(self._office)
        yield from _gate(self._office)
        yield from _handshakes(self._office)
        yield from _backup(self._office)
        yield from _leaf_failures(self._office)


def _progress(office: Office) -> Iterator[Metric]:
    yield _gauge("shieldwall_round", "The last released round.", office.released)
    yield _gauge("shieldwall_rounds", "How many rounds the training has.", office.policy.rounds.count)
    yield CounterMetricFamily("shieldwall_runs_started", "Runs started.", value=len(office.run.runs))
    phase = GaugeMetricFamily("shieldwall_phase", "1 for the phase the training is in.", labels=["phase"])
    for each in Phase:
        phase.add_metric([each], float(each is office.phase))
    yield phase
    attempts = CounterMetricFamily("shieldwall_round_attempts", "Attempts at rounds.", labels=["outcome"])
    outcomes = [record.outcome for record in office.rounds.records]
    for outcome in Outcome:
        attempts.add_metric([outcome], outcomes.count(outcome))
    yield attempts
    last = office.rounds.released
    for name, (metric, text) in _EVALUATION.items():
        if last is not None and name in last.metrics:
            yield _gauge(metric, text, last.metrics[name])


def _replies(office: Office) -> Iterator[Metric]:
    family = CounterMetricFamily("shieldwall_replies", "Replies by what became of them.", labels=["client", "fate"])
    for client, fates in sorted(_known(office, office.rounds.fates()).items()):
        for fate, count in sorted(fates.items()):
            family.add_metric([client, fate], count)
    yield family


def _updates(office: Office) -> Iterator[Metric]:
    latest: dict[str, ReplyRecord] = {}
    for record in office.rounds.records:
        latest |= {reply.client: reply for reply in record.replies if reply.norm is not None}
    known = sorted(_known(office, latest).items())
    for name, text, read in _STATISTICS:
        family = GaugeMetricFamily(name, text, labels=["client"])
        for client, reply in known:
            if (value := read(reply)) is not None:
                family.add_metric([client], value)
        yield family


_STATISTICS: tuple[tuple[str, str, Callable[[ReplyRecord], float | None]], ...] = (
    ("shieldwall_update_norm", "L2 norm of the client's last update.", lambda reply: reply.norm),
    ("shieldwall_update_cosine", "Cosine of the client's last update and the aggregate.", lambda reply: reply.cosine),
    (
        "shieldwall_update_distance",
        "L2 distance of the client's last update and the aggregate.",
        lambda reply: reply.distance,
    ),
    (
        "shieldwall_update_norm_zscore",
        "Robust z-score of the norm of the client's last update against its round.",
        lambda reply: reply.norm_z,
    ),
    (
        "shieldwall_update_distance_zscore",
        "Robust z-score of the distance of the client's last update to the others against its round.",
        lambda reply: reply.distance_z,
    ),
    (
        "shieldwall_update_likeness",
        "Greatest cosine of the client's last update with another's or an earlier global step.",
        lambda reply: reply.likeness,
    ),
    (
        "shieldwall_update_agreement",
        "Cosine of the client's last update with the sum of the others' directions.",
        lambda reply: reply.agreement,
    ),
)


def _clients(office: Office) -> Iterator[Metric]:
    online = GaugeMetricFamily("shieldwall_client_online", "1 while the client's node is online.", labels=["client"])
    denied = GaugeMetricFamily("shieldwall_client_denied", "1 while the client may not pass.", labels=["client"])
    ends = GaugeMetricFamily(
        "shieldwall_certificate_not_after_timestamp_seconds",
        "When the certificate that the client last showed ends.",
        labels=["client"],
    )
    for client in office.clients():
        online.add_metric([client.name], float(client.online))
        denied.add_metric([client.name], float(client.denied))
        if client.not_after is not None:
            ends.add_metric([client.name], client.not_after)
    yield from (online, denied, ends)


def _standings(office: Office) -> Iterator[Metric]:
    if office.policy.contribution is None:
        return
    strikes = GaugeMetricFamily("shieldwall_client_strikes", "Strikes of the client.", labels=["client"])
    banned = GaugeMetricFamily(
        "shieldwall_client_banned", "1 while the client is banned for not contributing.", labels=["client"]
    )
    innovation = GaugeMetricFamily(
        "shieldwall_client_innovation_ratio",
        "Share of what the client's updates say anew that the others' bear out: moving R².",
        labels=["client"],
    )
    for client in office.clients():
        strikes.add_metric([client.name], client.strikes)
        banned.add_metric([client.name], float(client.banned_since is not None))
        if client.innovation is not None:
            innovation.add_metric([client.name], client.innovation)
    yield from (strikes, banned, innovation)
    yield CounterMetricFamily("shieldwall_bans", "Bans for not contributing.", value=office.standings.bans)
    flags = CounterMetricFamily(
        "shieldwall_client_flags", "Rounds that showed something against the client.", labels=["client", "flag"]
    )
    for name, counts in sorted(_known(office, _flags(office)).items()):
        for flag, count in sorted(counts.items()):
            flags.add_metric([name, flag], count)
    yield flags


def _flags(office: Office) -> dict[str, Counter[Flag]]:
    counts: dict[str, Counter[Flag]] = {}
    for record in office.rounds.records:
        for reply in record.replies:
            counts.setdefault(reply.client, Counter()).update(reply.flags or ())
    return counts


def _gate(office: Office) -> Iterator[Metric]:
    family = CounterMetricFamily(
        "shieldwall_gate_requests", "Requests by the gate's decision.", labels=["client", "decision"]
    )
    for member in office.registry.members.values():
        if (seen := office.sightings.of(member.identity)) is not None:
            family.add_metric([member.client, "allowed"], seen.passed)
    for denial in office.sightings.denials:
        known = office.registry.members.get(denial.client)
        family.add_metric([known.client if known is not None else UNKNOWN, denial.reason], denial.count)
    yield family


def _handshakes(office: Office) -> Iterator[Metric]:
    family = CounterMetricFamily(
        "shieldwall_handshake_failures", "Handshakes that the proxy refused.", labels=["listener", "cause"]
    )
    for key, count in office.handshakes.items():
        listener, _, cause = key.partition(".")
        family.add_metric([listener, cause], count)
    yield family


def _backup(office: Office) -> Iterator[Metric]:
    if office.backed_up is not None:
        text = "When Flower's database was last copied."
        yield _gauge("shieldwall_superlink_backup_timestamp_seconds", text, office.backed_up)


def _leaf_failures(office: Office) -> Iterator[Metric]:
    text = "How often the client's signer found a renewed leaf that it cannot use, and kept the one before."
    family = CounterMetricFamily("shieldwall_client_leaf_failures", text, labels=["client"])
    for identity, count in sorted(office.sightings.leaf_failures.items()):
        if (member := office.registry.members.get(identity)) is not None:
            family.add_metric([member.client], count)
    yield family


def _known(office: Office, values: Mapping[str, T]) -> dict[str, T]:
    names = {member.client for member in office.registry.members.values()}
    return {client: value for client, value in values.items() if client in names}


def _gauge(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(name, text, value=value)
