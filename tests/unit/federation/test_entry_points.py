"""Where noise comes from in pods: the entry points that Flower calls, twice with everything else equal."""

from __future__ import annotations

import logging
import os
import random
from contextlib import nullcontext
from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest
from flwr.app import Array, ArrayRecord, Message, MetricRecord, RecordDict
from flwr.superlink.grid import http_grid

from shieldwall.contract.paths import ROOT_VARIABLE
from shieldwall.contract.policy import AggregationPolicy, RoundsPolicy, Rule
from shieldwall.contract.privacy import PrivacyMode, PrivacyPolicy
from shieldwall.runtime import clientapp, serverapp
from shieldwall.runtime.checkpoint import CheckpointStore
from shieldwall.runtime.federation.app import ManagedApp
from shieldwall.runtime.federation.engine import Engine
from shieldwall.runtime.flower.messages import ROUND_KEY, RoundFacts
from shieldwall.runtime.flower.packing import pack
from shieldwall.runtime.model import model_sha256
from shieldwall.runtime.privacy import dp_sgd, mechanism

BASE = {"w": np.zeros(500, np.float32)}
RECORD, LOCAL, CENTRAL = (
    PrivacyPolicy(mode=mode, epsilon=99, delta=1e-5, clip=2.0, noise_multiplier=5, batch_size=20, steps=3, records=100)
    for mode in PrivacyMode
)


@pytest.fixture
def drawn(monkeypatch):
    """What the operating system gave out since the test began."""
    found, system = [], os.urandom

    def urandom(size):
        found.append(system(size))
        return found[-1]

    monkeypatch.setattr(os, "urandom", urandom)
    monkeypatch.setattr(clientapp, "os_generator", lambda: mechanism.os_generator(urandom))
    return found


@pytest.fixture
def told(caplog, capsys):
    """All that was written to logs and to the terminal since the test began."""
    caplog.set_level(logging.DEBUG)
    return lambda: "\n".join((caplog.text, *capsys.readouterr()))


@pytest.fixture
def aggregator(world, tmp_path, monkeypatch):
    """Runs a training of clients that learn nothing on a new volume; the answer is its store."""
    privacy = CENTRAL.model_copy(update={"batch_size": None, "steps": None, "records": None})
    fields = {
        "privacy": privacy,
        "aggregation": AggregationPolicy(rule=Rule.CLIPPED_MEAN, max_norm=2.0),
        "rounds": RoundsPolicy(count=2, min_replies=3, timeout_seconds=60, grace_seconds=5),
    }
    for client in world.clients:
        client.step = 0.0
    monkeypatch.setattr(http_grid, "HttpGrid", type(world.grid))
    monkeypatch.setattr(serverapp, "Engine", partial(Engine, inbox=lambda grid, _: nullcontext(grid)))
    monkeypatch.setattr(serverapp, "StewardClient", lambda *_: world.steward)
    monkeypatch.setattr(serverapp, "SystemClock", lambda: world.clock)
    app = ManagedApp(lambda _: BASE, lambda arrays, _: {"size": float(arrays["w"].size)}, {})
    monkeypatch.setattr(serverapp, "ManagedApp", SimpleNamespace(load=lambda _: app))

    def run(name):
        paths = serverapp.Paths(tmp_path / name)
        monkeypatch.setenv(ROOT_VARIABLE, str(paths.root))
        for path, text in (
            (paths.policy, world.policy.model_copy(update=fields).to_json()),
            (paths.trust / "ca.crt", world.bundle.read_text()),
        ):
            path.parent.mkdir(parents=True)
            path.write_text(text)
        equal()
        serverapp.main(world.grid, None)
        return CheckpointStore(paths.model)

    return run


def equal():
    """What an app, or a library, may have seeded."""
    np.random.seed(1)  # noqa: NPY002  # the one that anybody may seed
    random.seed(1)


def trained(message, _):
    """The app's reply: under RecordLevel by DP-SGD on records without a gradient, else nothing learned."""
    arrays = {name: array.numpy().copy() for name, array in message.content["arrays"].items()}
    if dp_sgd.current(lambda: None) is not None:
        private = dp_sgd.current()
        for batch in private.batches(120):
            arrays["w"] -= private.gradient(np.zeros((len(batch), 500), np.float32))
    record = ArrayRecord(array_dict={name: Array(array) for name, array in arrays.items()})
    return Message(RecordDict({"arrays": record, "metrics": MetricRecord({"num-examples": 120})}), reply_to=message)


@pytest.fixture
def client(world, monkeypatch):
    """Answers the same question under a policy; the answer is what leaves, but for the seal."""
    assert world.policy.privacy is None

    def run(policy):
        pod = clientapp.SealingClientApp()
        pod.user, pod.privacy = trained, policy
        monkeypatch.setattr(pod, "seal", lambda *_: None)
        record = ArrayRecord(array_dict={name: Array(array) for name, array in BASE.items()})
        facts = RoundFacts("u", "1", 1, 1, "ab" * 32, model_sha256(BASE)).to_record()
        equal()
        message = Message(RecordDict({"arrays": pack(record), ROUND_KEY: facts}), 5, "train")
        return pod(message, SimpleNamespace(node_id=5)).content["arrays"]["w"].numpy()

    return run


def test_two_aggregators_never_add_the_same_noise(aggregator):
    first, other = (aggregator(name).latest().model.arrays["w"] for name in ("one", "other"))

    assert (first != 0).all()
    assert (first != other).all()


@pytest.mark.parametrize("policy", [LOCAL, RECORD])
def test_two_clients_never_add_the_same_noise(client, policy):
    first, other = client(policy), client(policy)

    assert (first != 0).all()
    assert (first != other).all()


def secrets(seeds, noised):
    """How anybody would write down what noise was drawn from, or the first of it."""
    for seed in seeds:
        number = int.from_bytes(seed, "big")
        yield from (seed.hex(), str(number), f"{number:x}")
        yield from (str(part) for part in np.random.default_rng(number).bit_generator.state["state"].values())
    for value in noised[:20]:
        yield from (f"{value:.6f}", str(value))


def test_what_the_aggregator_s_noise_was_drawn_from_is_told_nobody(aggregator, drawn, told):
    store = aggregator("one")
    kept = (record.model_dump_json() for record in (*store.records, *store.spends))
    words = "\n".join((told(), *kept))

    assert "round 2 of 2 released" in words
    assert not [secret for secret in secrets(drawn, store.latest().model.arrays["w"]) if secret in words]


@pytest.mark.parametrize("policy", [LOCAL, RECORD])
def test_what_a_client_s_noise_was_drawn_from_is_told_nobody(client, policy, drawn, told):
    noised = client(policy)
    words = told()

    assert drawn
    assert not [secret for secret in secrets(drawn, noised) if secret in words]
