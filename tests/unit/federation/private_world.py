"""Policies of privacy, and runs under them, that several tests speak of."""

from __future__ import annotations

import numpy as np
from flwr.app import Array, ArrayRecord, ConfigRecord
from flwr.serverapp.strategy import FedAvg

from shieldwall.contract.policy import (
    AggregationPolicy,
    RoundsPolicy,
    Rule,
)
from shieldwall.contract.privacy import PRIVACY_KEY, AdaptiveClippingPolicy, PrivacyMode, PrivacyPolicy
from shieldwall.runtime.federation.app import ManagedApp
from shieldwall.runtime.federation.managed import train
from shieldwall.runtime.federation.wrapped import PolicyGrid

BASE = {"w": np.zeros(40_000, np.float32), "count": np.array([7])}
MEAN = AggregationPolicy(rule=Rule.CLIPPED_MEAN, max_norm=1.0)
DELTA = 1e-5


def central(noise=2.0, epsilon=1e5, clip=1.0, **fields):
    return PrivacyPolicy(
        mode=PrivacyMode.CLIENT_LEVEL_CENTRAL,
        epsilon=epsilon,
        delta=DELTA,
        clip=clip,
        noise_multiplier=noise,
        **fields,
    )


def local(**fields):
    return PrivacyPolicy(
        **({"mode": PrivacyMode.CLIENT_LEVEL_LOCAL, "epsilon": 100, "delta": DELTA, "clip": 1.0} | fields),
        noise_multiplier=2.0,
    )


def rounds(count, **fields):
    return RoundsPolicy(**({"count": count, "min_replies": 3, "timeout_seconds": 60, "grace_seconds": 5} | fields))


def run(world, store, privacy, aggregation=MEAN, number=1, **policy):
    fields = {"rounds": rounds(number), **policy}
    train(world.engine(privacy=privacy, aggregation=aggregation, **fields), store, ManagedApp(lambda _: BASE, None, {}))
    return store.records


def attesting(world, **values):
    for client in world.clients:
        attest(client, **values)


def attest(client, **values):
    sign = type(client).sign.__get__(client)

    def attested(reply):
        reply.content[PRIVACY_KEY] = ConfigRecord(
            {"mode": "ClientLevelLocal", "noise-multiplier": 2.0, "clip": 1.0, **values}
        )
        sign(reply)

    client.sign = attested


def adaptive(**fields):
    return central(noise=0.5, adaptive=AdaptiveClippingPolicy(quantile=0.5, rate=0.5, count_noise=0.6), **fields)


def serve(world, store, privacy, **strategy):
    grid = PolicyGrid(world.engine(privacy=privacy, aggregation=MEAN), store)
    arrays = ArrayRecord(array_dict={name: Array(array) for name, array in BASE.items()})
    options = {"fraction_evaluate": 0.0, "min_available_nodes": 3, **strategy}
    return FedAvg(**options).start(grid, arrays, num_rounds=2)
