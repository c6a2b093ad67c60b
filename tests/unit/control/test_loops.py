"""Somebody who may write a little cannot have the operator write all day: requests, deletions, spoilt Secrets."""

from datetime import timedelta

import pytest

from shieldwall.control.cluster.brake import MOST

from .conftest import SECRETS, replica, training_body
from .test_kept import CORE, TRAINING, WALL, change, condition
from .test_reissues import passes, spoil, told

SECOND = timedelta(seconds=1)


def issued(parts):
    reasons = ("Requested", "Missing")
    values = [
        parts.metrics.registry.get_sample_value("shieldwall_certificates_issued_total", {"reason": reason})
        for reason in reasons
    ]
    return dict(zip(reasons, (value or 0 for value in values), strict=True))


async def test_768_requests_in_25_s_are_a_handful_of_leaves_and_the_last_is_answered(cluster, clock):
    cluster.put(training_body())
    asked = "renew.shieldwall.dev/client.c0"
    async with replica(cluster, clock) as parts:
        await passes(parts, 2)
        for number in range(768):
            annotations = {asked: f"n{number}"}
            change(cluster, TRAINING, lambda body, made=annotations: body["metadata"].update(annotations=made))
            clock.now += 25 * SECOND / 768
            if number % 8 == 0:
                await passes(parts)
        assert 2 <= issued(parts)["Requested"] <= 4
        await passes(parts)
        assert cluster.objects[TRAINING]["status"]["pki"]["pending"] == ["client.c0"]
        verdict = await parts.reconciler.reconcile(("fed", "digits"))
        assert timedelta(0) < verdict.again <= 11 * SECOND, "it comes back by itself"
        clock.now += verdict.again
        await passes(parts)
        told = cluster.objects[TRAINING]["status"]["pki"]
        assert told["requests"] == [{"subject": "client.c0", "nonce": "n767"}]
        assert not told.get("pending")


LOOPS = [
    WALL,
    f"{CORE}/services/digits-server",
    f"{CORE}/configmaps/digits-trust",
    f"{SECRETS}/digits-tls-c0",
    f"{SECRETS}/digits-node-c0",
    f"{SECRETS}/digits-superexec",
    f"{SECRETS}/digits-ca",
]


@pytest.mark.parametrize("path", LOOPS, ids=[path.rpartition("/")[2] for path in LOOPS])
async def test_what_is_deleted_all_the_time_is_made_ten_times_and_then_once_a_minute(cluster, clock, path):
    cluster.put(training_body())
    async with replica(cluster, clock) as parts:
        await passes(parts, 2)
        clock.now += timedelta(minutes=2)
        await passes(parts)
        back = 0
        for _ in range(3 * MOST):
            back += cluster.objects.pop(path, None) is not None
            clock.now += SECOND
            await passes(parts)
        assert back == MOST + 1, "the first, and each that was made anew"
        stalled = condition(cluster, "Stalled")
        assert (stalled["status"], stalled["reason"]) == ("True", "ContestedObject")
        assert f"{path.rpartition('/')[2]} was deleted or spoilt again and again" in stalled["message"]
        clock.now += timedelta(minutes=1)
        await passes(parts, 2)
        assert path in cluster.objects, "in the end it is there"
        clock.now += timedelta(minutes=3)
        await passes(parts, 2)
    assert condition(cluster, "Stalled")["status"] == "False"


async def test_a_secret_that_is_spoilt_all_the_time_costs_no_more_keys_than_one_that_is_deleted(cluster, clock):
    cluster.put(training_body())
    path = f"{SECRETS}/digits-tls-c0"
    async with replica(cluster, clock) as parts:
        await passes(parts, 2)
        clock.now += timedelta(minutes=2)
        await passes(parts)
        before = issued(parts)["Missing"]
        for number in range(3 * MOST):
            spoil(cluster, path, **{"tls.key": f"spoilt {number}".encode()})
            clock.now += SECOND
            await passes(parts)
        assert issued(parts)["Missing"] - before == MOST
        assert condition(cluster, "Stalled")["reason"] == "ContestedObject"


async def test_a_training_that_is_made_is_no_loop(cluster, clock):
    cluster.put(training_body(clients=20))
    async with replica(cluster, clock) as parts:
        await passes(parts, 3 * MOST)
    assert condition(cluster, "Stalled")["status"] == "False"


@pytest.mark.parametrize("how", ["deleted", "changed"])
async def test_what_was_fought_about_and_is_no_longer_wanted_stalls_nothing(cluster, clock, how):
    cluster.put(training_body(clients=2))
    path = "/apis/apps/v1/namespaces/fed/deployments/digits-client-c1"
    async with replica(cluster, clock) as parts:
        await passes(parts, 2)
        for _ in range(2 * MOST):
            if how == "deleted":
                cluster.objects.pop(path, None)
            else:
                change(cluster, path, lambda body: body["spec"].update(replicas=7))
            clock.now += SECOND
            await passes(parts)
        assert condition(cluster, "Stalled")["reason"] == "ContestedObject"
        change(cluster, TRAINING, lambda body: body["spec"].update(clients=[{"name": "c0"}]))
        await passes(parts, 3)
        assert path not in cluster.objects
        assert condition(cluster, "Stalled")["status"] == "False"
        repaired = len(told(cluster, "DriftRepaired"))
        change(cluster, TRAINING, lambda body: body["spec"].update(clients=[{"name": "c0"}, {"name": "c1"}]))
        await passes(parts, 2)
    assert path in cluster.objects
    assert len(told(cluster, "DriftRepaired")) == repaired, "wanted again, it is made as if for the first time"
