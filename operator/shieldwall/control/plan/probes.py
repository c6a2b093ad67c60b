"""How the kubelet sees whether containers work. It cannot reach a pod's loopback: it asks the proxy, or runs a program.

There is no probe of the trainer: it computes for as long as the user's app likes, and ends when it fails.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from kubernetes.client import V1ExecAction, V1HTTPGetAction, V1Probe

from shieldwall.contract import ports

_SECONDS: Final = 3


@dataclass(frozen=True, slots=True)
class Probes:
    """The probes of one container."""

    startup: V1Probe | None = None
    readiness: V1Probe | None = None
    liveness: V1Probe | None = None


NO_PROBES: Final = Probes()


def http_probes(path: str, *, liveness_failures: int = 3) -> Probes:
    """Asks the metrics listener of the pod's proxy for ``path``."""

    def probe(period: int, failures: int) -> V1Probe:
        return V1Probe(
            http_get=V1HTTPGetAction(path=path, port=ports.METRICS),
            timeout_seconds=_SECONDS,
            period_seconds=period,
            failure_threshold=failures,
        )

    return Probes(startup=probe(1, 120), readiness=probe(5, 3), liveness=probe(10, liveness_failures))


def alive_probes(role: str) -> Probes:
    """Runs the program that sees whether the role's requests move; a process that exists proves nothing."""
    probe = V1Probe(initial_delay_seconds=30, timeout_seconds=10, period_seconds=20, failure_threshold=3)
    # kubernetes 37 drops var_exec= without a word when it is an argument.
    probe.var_exec = V1ExecAction(command=["shieldwall-runtime", "alive", role])
    return Probes(liveness=probe)
