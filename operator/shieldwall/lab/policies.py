"""Policies of the laboratory's own trainings, with noise calibrated as the operator calibrates it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from shieldwall.accounting import Poisson
from shieldwall.contract.policy import AppPolicy, ClientPolicy, FederationPolicy, RuntimePolicy
from shieldwall.contract.privacy import PrivacyMode, PrivacyPolicy
from shieldwall.control.api.mechanism import Mechanism
from shieldwall.lab.grid import public_key

if TYPE_CHECKING:
    from collections.abc import Iterable

    from shieldwall.contract.policy import AggregationPolicy, RoundsPolicy

LAB_APP: Final = AppPolicy(client_app="lab:app", model="lab:model")
"""Stands for the laboratory's own app, which is in this process."""
DELTA: Final = 1e-5


def lab_policy(  # noqa: PLR0913  # what trainings of the laboratory differ in
    name: str,
    clients: Iterable[str],
    rounds: RoundsPolicy,
    aggregation: AggregationPolicy,
    *,
    privacy: PrivacyPolicy | None = None,
    signed: bool = False,
) -> RuntimePolicy:
    """A training by these rules."""
    return RuntimePolicy(
        federation=FederationPolicy(uid="laboratory", trust_domain="lab.example", namespace="lab", name=name),
        app=LAB_APP,
        rounds=rounds,
        aggregation=aggregation,
        privacy=privacy,
        require_signatures=signed,
        clients=tuple(ClientPolicy(name=client, node_public_key=public_key(client)) for client in clients),
    )


class Batches(NamedTuple):
    """How DP-SGD draws."""

    records: int
    batch_size: int
    steps: int


def private_policy(mode: PrivacyMode, epsilon: float, rounds: int, clip: float, batches: Batches) -> PrivacyPolicy:
    """With the noise that keeps ε for so many rounds at DELTA; ``batches`` count under RecordLevel alone."""
    own: dict[str, int] = {}
    sampling, steps = None, 1
    if mode is PrivacyMode.RECORD_LEVEL:
        own, steps = batches._asdict(), batches.steps
        sampling = Poisson(batches.batch_size / batches.records)
    spare = mode is not PrivacyMode.CLIENT_LEVEL_CENTRAL
    noise = Mechanism(DELTA, rounds, spare=spare, steps=steps, sampling=sampling).noise(epsilon)
    return PrivacyPolicy(mode=mode, epsilon=epsilon, delta=DELTA, clip=clip, noise_multiplier=noise, **own)
