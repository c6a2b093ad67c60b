"""``kill -9`` of an aggregator before each of its steps: what it let out is on the ledger, whenever it died."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from shieldwall.contract.policy import (
    AggregationPolicy,
    AppPolicy,
    ClientPolicy,
    FederationPolicy,
    RoundsPolicy,
    Rule,
    RuntimePolicy,
)
from shieldwall.contract.privacy import PrivacyMode, PrivacyPolicy
from shieldwall.contract.records import Outcome
from shieldwall.pki.authority import new_root
from shieldwall.pki.node_key import public_pem
from shieldwall.pki.pem import certificates_to_pem
from shieldwall.runtime.checkpoint import CheckpointStore
from shieldwall.runtime.privacy.ledger import epsilon_spent

pytestmark = pytest.mark.slow

KILLS = 60
DELTA = 1e-5
CENTRAL, LOCAL = PrivacyMode.CLIENT_LEVEL_CENTRAL, PrivacyMode.CLIENT_LEVEL_LOCAL
STEPS = {
    *("push", "close", "evaluate", "measured", "replace round-.npz.tmp", "write ledger.jsonl", "write privacy.jsonl"),
    *("fsync privacy.jsonl", "write head.tmp", "fsync head.tmp", "replace head.tmp"),
}


def policy(mode):
    names = [f"client-{place}" for place in range(3)]
    keys = [public_pem(ec.generate_private_key(ec.SECP256R1()).public_key()) for _ in names]
    return RuntimePolicy(
        federation=FederationPolicy(uid="u", trust_domain="example.org", namespace="ns", name="killed"),
        app=AppPolicy(client_app="a:app", model="a:model"),
        rounds=RoundsPolicy(count=10_000, min_replies=3, timeout_seconds=60, grace_seconds=5),
        aggregation=AggregationPolicy(rule=Rule.CLIPPED_MEAN, max_norm=1.0),
        privacy=PrivacyPolicy(mode=mode, epsilon=1000, delta=DELTA, clip=1.0, noise_multiplier=2.0),
        require_signatures=False,
        clients=tuple(ClientPolicy(name=name, node_public_key=key) for name, key in zip(names, keys, strict=True)),
    )


@pytest.fixture
def aggregator(tmp_path):
    """Starts the program for a mode; the answer kills an aggregator at a step and tells which it was."""
    started = []

    def start(mode):
        (tmp_path / "policy.json").write_text(policy(mode).to_json())
        root = new_root("root", ec.generate_private_key(ec.SECP256R1()), 1, datetime.now(UTC))
        (tmp_path / "ca.crt").write_text(certificates_to_pem([root.certificate]))
        command = [sys.executable, "-m", "harness.killed_aggregator", str(tmp_path)]
        there = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        started.append(subprocess.Popen(command, text=True, env=there, **pipes))

        def kill(step):
            started[0].stdin.write(f"{step}\n")
            started[0].stdin.flush()
            return started[0].stdout.readline().rstrip("\n")

        return kill

    yield start
    for process in started:
        process.stdin.close()
        process.wait(timeout=30)
        process.stdout.close()


def seen_by_the_world(place):
    """What left the aggregators, oldest first: a list for each kind of fact."""
    path = place / "journal"
    facts = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
    return [[fact for fact in facts if kind in fact] for kind in ("pushed", "closed", "shown")]


def check_central(store, pushed, closed, shown):
    """Each model that left, or that the app saw, was paid for; one that died with its aggregator was paid for too."""
    released = [record for record in store.records if record.outcome is Outcome.RELEASED]
    paid = Counter(spend.round for spend in store.spends)
    assert Counter(record.round for record in released) <= paid
    left = {fact["model"] for fact in pushed if fact["pushed"] > 1} | {fact["shown"] for fact in shown}
    assert len(left) <= len(store.spends)
    assert {fact["model"] for fact in closed} <= {record.model_sha256 for record in released}


def check_local(store, pushed, _, __):
    """Each batch of messages that left was paid for."""
    asked = Counter((fact["pushed"], fact["attempt"]) for fact in pushed)
    paid = Counter((spend.round, spend.attempt) for spend in store.spends)
    assert asked <= paid
    assert all(len(spend.clients) == 3 for spend in store.spends)


@pytest.mark.timeout(600)  # fifty processes, each of which syncs a volume
@pytest.mark.parametrize(("mode", "check"), [(CENTRAL, check_central), (LOCAL, check_local)])
def test_no_kill_at_any_step_leaves_a_release_uncounted(aggregator, tmp_path, mode, check):
    kill, epsilon, steps = aggregator(mode), 0.0, Counter()
    for step in range(KILLS):
        name = kill(step)
        steps["".join(character for character in name if not character.isdigit())] += 1
        store = CheckpointStore(tmp_path / "model", keep=1)
        spent = epsilon_spent(store.spends, DELTA)
        assert spent >= epsilon
        epsilon = spent
        check(store, *seen_by_the_world(tmp_path))
        for record in store.records:
            assert record.privacy.epsilon <= spent

    assert STEPS <= steps.keys(), steps
    assert sum(steps.values()) == KILLS
    if mode is CENTRAL:
        assert len(store.spends) > store.latest().round, "some died between what it cost and the release"
    assert not any(name.startswith("exit") for name in steps), steps
    assert store.latest().round > 3
