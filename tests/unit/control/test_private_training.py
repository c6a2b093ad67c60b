"""The operator and privacy: noise is calculated beside its loop, and numbers that do not fit are told."""

import json
import threading
from types import SimpleNamespace

import pytest

from shieldwall.accounting import accountant
from shieldwall.contract.privacy import PrivacyRecord
from shieldwall.control.status.recount import privacy_of
from shieldwall.control.steward.sight import StewardSight

from .conftest import NOW, TRAININGS, replica, training_body
from .test_metrics import STATUS

KEY = ("fed", "digits")
TRAINING = f"{TRAININGS}/digits"
POLICY = "/api/v1/namespaces/fed/configmaps/digits-policy"
CENTRAL = {"mode": "ClientLevelCentral", "epsilon": 1.0, "delta": 1e-5, "clip": 1.0}
RECORDS = {"epsilon": 1.0, "delta": 1e-5, "clip": 1.0, "records": 120, "batchSize": 30, "steps": 2}


@pytest.fixture
def counting(monkeypatch):
    """In which threads ε of samples is calculated; what was calculated before is forgotten."""
    threads, count = [], accountant.epsilon_of_batches

    def watched(*arguments):
        threads.append(threading.current_thread())
        return count(*arguments)

    monkeypatch.setattr(accountant, "epsilon_of_batches", watched)
    accountant._of_batches.cache_clear()
    accountant.noise_multiplier_for.cache_clear()
    return threads


def private(privacy, **spec):
    body = training_body()
    body["spec"] |= {"aggregation": {"byzantine": 0}, "privacy": privacy} | spec
    return body


async def passed(cluster, parts):
    await parts.worker._lister.everything()
    await parts.reconciler.reconcile(KEY)


async def test_the_noise_of_batches_is_calculated_beside_the_loop(cluster, counting):
    cluster.put(private(RECORDS))
    async with replica(cluster) as parts:
        await passed(cluster, parts)
    policy = json.loads(cluster.objects[POLICY]["data"]["policy.json"])
    assert policy["privacy"]["mode"] == "RecordLevel"
    assert counting
    assert threading.main_thread() not in counting
    assert cluster.objects[TRAINING]["status"]["privacy"]["noiseMultiplier"] == policy["privacy"]["noise_multiplier"]


async def test_what_batches_cost_is_counted_again_beside_the_loop(cluster, counting, monkeypatch):
    cluster.put(private(RECORDS))
    async with replica(cluster) as parts:
        await passed(cluster, parts)
        privacy = PrivacyRecord(epsilon=0.5, rounds_left=3, releases=2, delta=1e-5)
        record = SimpleNamespace(privacy=privacy, round=2, replies=(), rule="FedTrimmedAvg", pre_aggregation=None)
        sight = StewardSight(NOW, STATUS, None, "ab", newest=record)
        assert privacy_of(sight).privacy is privacy
        monkeypatch.setattr(parts.reconciler._reporter._stewards, "sight", lambda _: sight)
        counting.clear()
        await parts.reconciler.reconcile(KEY)
        assert parts.metrics._trainings.seen[KEY].sight.recount.most > 0
    assert counting
    assert threading.main_thread() not in counting
    assert cluster.objects[TRAINING]["status"]["privacy"]["epsilonSpent"] == 0.5


async def test_a_pair_that_an_older_crd_let_through_is_refused_with_the_true_epsilon(cluster):
    cluster.put(private(CENTRAL | {"delta": 0.01}, aggregation={"rule": "Krum", "byzantine": 1}, clients=FIVE))
    async with replica(cluster) as parts:
        await passed(cluster, parts)
    stalled = next(each for each in cluster.objects[TRAINING]["status"]["conditions"] if each["type"] == "Stalled")
    assert (stalled["status"], stalled["reason"]) == ("True", "InvalidSpec")
    assert "Krum may exchange its whole result" in stalled["message"]
    assert "Krum with noise 4.2 gives ε = 9.02 at δ = 0.01, not 1" in stalled["message"]
    assert POLICY not in cluster.objects


async def test_noise_that_is_not_enough_is_refused_though_no_rule_of_the_schema_sees_it(cluster):
    cluster.put(private(CENTRAL | {"noiseMultiplier": 1.0}))
    async with replica(cluster) as parts:
        await passed(cluster, parts)
    status = cluster.objects[TRAINING]["status"]
    assert status["phase"] == "Invalid"
    assert "Noise 1 gives ε = " in status["message"]
    assert "Use noiseMultiplier >= 8.342" in status["message"]


FIVE = [{"name": name} for name in "abcde"]
