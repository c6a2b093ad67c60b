"""Where trainings are: how many in each phase, and each one's, as kube-state-metrics tells the phases of pods."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final

from prometheus_client.core import GaugeMetricFamily

from shieldwall.contract.records import Phase
from shieldwall.control.metrics.seen import OF_TRAINING
from shieldwall.control.status.phase import INVALID, UNREACHABLE
from shieldwall.control.status.view import SUSPENDED

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from prometheus_client.core import Metric

    from shieldwall.control.cluster.store import Key
    from shieldwall.control.metrics.seen import Seen

PHASES: Final = (*(phase.value for phase in Phase), SUSPENDED, UNREACHABLE, INVALID)
"""Every word that status.phase can be."""


def phases(seen: Mapping[Key, Seen]) -> Iterator[Metric]:
    """A training has a series for each phase, so that a change of phase ends none."""
    trainings = GaugeMetricFamily("shieldwall_trainings", "Trainings by phase.", labels=["phase"])
    for phase, number in sorted(Counter(training.status.phase or "Unknown" for training in seen.values()).items()):
        trainings.add_metric([phase], number)
    yield trainings
    family = GaugeMetricFamily(
        "shieldwall_training_phase", "1 for the phase that a training is in.", labels=[*OF_TRAINING, "phase"]
    )
    for key, training in seen.items():
        for phase in PHASES:
            family.add_metric([*key, phase], float(training.status.phase == phase))
    yield family
