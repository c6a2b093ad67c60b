"""What somebody made immutable is made anew; and what cannot be set right is not called ready."""

import copy
from datetime import timedelta

import pytest
from aiohttp import web

from shieldwall.control.cluster.brake import MOST
from shieldwall.control.cluster.entries import plain
from shieldwall.control.cluster.errors import ApiError

from .conftest import SECRETS, failure, replica, training_body
from .test_kept import CORE, TRAINING, WALL, change, condition
from .test_reissues import KEY, TRUST, passes, told

POLICY = f"{CORE}/configmaps/digits-policy"
NODE = f"{SECRETS}/digits-node-c0"
LEAF = f"{SECRETS}/digits-tls-c0"
SECOND = timedelta(seconds=1)


def freeze(cluster, path, data=None, finalizers=None):
    """As somebody else would; with other data, and with finalizers."""

    def alter(body):
        body["immutable"] = True
        body["data"] |= data or {}
        if finalizers:
            body["metadata"]["finalizers"] = finalizers

    change(cluster, path, alter)


def repairs(parts, kind):
    return parts.metrics.registry.get_sample_value("shieldwall_objects_repaired_total", {"kind": kind}) or 0


@pytest.mark.parametrize("finalizers", [None, ["example.com/mine"]])
@pytest.mark.parametrize(("path", "data"), [
    (TRUST, {"ca.crt": "theirs"}), (TRUST, None), (POLICY, {"policy.json": "{}"}), (POLICY, None),
])  # fmt: skip
async def test_an_immutable_object_is_made_anew_and_told(cluster, path, data, finalizers):
    cluster.put(training_body())
    async with replica(cluster) as parts:
        await passes(parts, 2)
        good = copy.deepcopy(cluster.objects[path])
        freeze(cluster, path, data, finalizers)
        await passes(parts)
        now = cluster.objects[path]
        assert now["data"] == good["data"]
        assert not now.get("immutable")
        assert now["metadata"]["uid"] != good["metadata"]["uid"]
        assert repairs(parts, "ConfigMap") == 1
        cluster.requests.clear()
        await passes(parts)
        assert not [line for line in cluster.requests if not line.startswith("GET ")]
    (event,) = told(cluster, "DriftRepaired")
    assert "was changed (immutable" in event["note"]
    assert "spec.suspend" in event["note"], "no node looks again by itself"


@pytest.mark.parametrize("name", ["ca", "superexec", "server-tls", "node-c0", "tls-c0"])
async def test_an_immutable_secret_is_made_anew_with_the_same_key(cluster, name):
    path = f"{SECRETS}/digits-{name}"
    cluster.put(training_body())
    async with replica(cluster) as parts:
        await passes(parts, 2)
        good = copy.deepcopy(cluster.objects[path])
        freeze(cluster, path, {"more": "eA=="}, ["example.com/mine"])
        await passes(parts)
        now = cluster.objects[path]
        assert now["data"] == good["data"]
        assert now["type"] == good["type"]
        assert now["metadata"]["labels"] == good["metadata"]["labels"]
        assert now["metadata"]["annotations"] == good["metadata"]["annotations"]
        assert not now.get("immutable")
        assert repairs(parts, "Secret") == 1
    assert [event["note"].partition(" was")[0] for event in told(cluster, "DriftRepaired")] == [f"Secret digits-{name}"]


async def test_an_immutable_secret_whose_certificate_is_due_is_renewed(cluster, clock):
    cluster.put(training_body())
    async with replica(cluster, clock) as parts:
        await passes(parts, 2)
        good = plain(cluster.objects[LEAF])
        freeze(cluster, LEAF)
        clock.now += timedelta(hours=20)
        await passes(parts)
        now = cluster.objects[LEAF]
        assert plain(now)["tls.crt"] != good["tls.crt"]
        assert not now.get("immutable")
        assert repairs(parts, "Secret") == 1


@pytest.mark.parametrize("path", [TRUST, NODE], ids=["trust", "node key"])
async def test_what_is_made_immutable_all_the_time_is_made_anew_ten_times_and_then_once_a_minute(cluster, clock, path):
    cluster.put(training_body())
    async with replica(cluster, clock) as parts:
        await passes(parts, 2)
        clock.now += timedelta(minutes=2)
        await passes(parts)
        uids = set()
        for _ in range(2 * MOST):
            freeze(cluster, path)
            clock.now += SECOND
            await passes(parts)
            uids.add(cluster.objects[path]["metadata"]["uid"])
        assert len(uids) == MOST
        assert condition(cluster, "Stalled")["reason"] == "ContestedObject"


@pytest.mark.parametrize(("path", "kind"), [(TRUST, "ConfigMap"), (POLICY, "ConfigMap"), (WALL, "NetworkPolicy")])
async def test_a_wall_that_cannot_be_set_right_stalls_the_training_until_it_is(cluster, path, kind):
    cluster.put(training_body())
    name = path.rpartition("/")[2]
    async with replica(cluster) as parts:
        await passes(parts, 2)
        assert condition(cluster, "Stalled")["status"] == "False"
        change(cluster, path, lambda body: body.update({"data": {"ca.crt": "theirs"}, "spec": {"podSelector": {}}}))
        for _ in range(2):
            cluster.faults[f"PATCH {path}"] = [failure(422, "Invalid")]
            with pytest.raises(ApiError):
                await passes(parts)
            for of, status in (("Ready", "False"), ("Stalled", "True")):
                said = condition(cluster, of)
                assert (said["status"], said["reason"]) == (status, "ObjectNotRepaired")
                assert f"{kind} {name} is not as it has to be" in said["message"]
                assert "422 Invalid: a 422" in said["message"]
        assert len(told(cluster, "ObjectNotRepaired")) == 1
        await passes(parts)
        assert condition(cluster, "Stalled")["status"] == "False"


async def test_what_could_not_be_written_is_forgotten_when_it_is_no_longer_asked_for(cluster):
    cluster.put(training_body())
    async with replica(cluster) as parts:
        await passes(parts, 2)
        before = cluster.objects[POLICY]
        cluster.put(training_body(clients=2, version="700"))
        cluster.faults[f"PATCH {POLICY}"] = [failure(403, "Forbidden")]
        with pytest.raises(ApiError):
            await passes(parts)
        assert condition(cluster, "Stalled")["reason"] == "ObjectNotRepaired"
        cluster.put(training_body(version="800"))
        await passes(parts, 2)
        assert cluster.objects[POLICY]["data"] == before["data"]
        assert condition(cluster, "Stalled")["status"] == "False"


async def test_what_is_refused_before_there_are_pods_is_tried_again_and_stalls_nothing(cluster):
    cluster.put(training_body())
    cluster.faults[f"PATCH {WALL}"] = [failure(403, "Forbidden")]
    async with replica(cluster) as parts:
        with pytest.raises(ApiError):
            await passes(parts)
    assert condition(cluster, "Stalled")["status"] == "False"
    assert condition(cluster, "Ready")["reason"] == "ObjectRefused"


async def test_a_server_that_fails_for_a_moment_stalls_nothing_and_one_that_goes_on_does(cluster):
    cluster.put(training_body())
    async with replica(cluster) as parts:
        await passes(parts, 2)
        change(cluster, WALL, lambda body: body.update(spec={"podSelector": {}}))
        states = []
        for _ in range(4):
            cluster.faults[f"PATCH {WALL}"] = [failure(500, "InternalError", Retry_After="0") for _ in range(4)]
            with pytest.raises(ApiError):
                await passes(parts)
            states.append(condition(cluster, "Stalled")["reason"])
        assert states == ["Progressing", "Progressing", "ObjectNotRepaired", "ObjectNotRepaired"]
        await passes(parts)
        assert condition(cluster, "Stalled")["status"] == "False"


async def test_a_wall_that_is_changed_on_the_way_in_stalls_the_training(cluster):
    """By an admission plugin, say: it is not fought, and not called ready."""
    cluster.put(training_body())

    async def widened(request):
        body = await request.json()
        body["spec"]["ingress"] = [{}, {}, {}]
        return web.json_response(cluster._stored(body, cluster.objects[WALL]))

    async with replica(cluster) as parts:
        await passes(parts, 2)
        change(cluster, WALL, lambda body: body["spec"].update(ingress=[{}, {}, {}]))
        for method in ("PATCH", "PUT"):
            cluster.faults[f"{method} {WALL}"] = [widened]
        await passes(parts)
        for _ in range(3):
            assert condition(cluster, "Stalled")["reason"] == "ObjectNotRepaired"
            assert "spec.ingress" in condition(cluster, "Ready")["message"]
            cluster.requests.clear()
            await passes(parts)
            assert not [line for line in cluster.requests if not line.startswith("GET ")]
        change(cluster, WALL, lambda _: None)
        await passes(parts, 2)
        assert condition(cluster, "Stalled")["status"] == "False"


async def test_what_could_not_be_set_right_and_is_no_longer_wanted_stalls_nothing(cluster):
    cluster.put(training_body())
    async with replica(cluster) as parts:
        await passes(parts, 2)
        applier = parts.reconciler._maker._applier
        error = ApiError(422, "Invalid", "no")
        applier._unmended.failed(KEY, ("ConfigMap", "digits-old"), error)
        applier._unmended.failed(KEY, ("Service", "digits-server"), error)
        assert "digits-old" in applier.unmended(KEY).message
        assert "digits-server" not in applier.unmended(KEY).message, "it lets nobody in"
        await passes(parts)
        assert applier.unmended(KEY) is None
    assert cluster.objects[TRAINING] is not None
