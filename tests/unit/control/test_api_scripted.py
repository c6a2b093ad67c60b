"""The operator against an API server that fails in the middle: exactly which requests come, and what is left."""

import asyncio
import base64
from datetime import timedelta
from types import SimpleNamespace

import aiohttp
import pytest
from aiohttp import web

from shieldwall.control.cluster import api as api_module
from shieldwall.control.cluster.api import Api
from shieldwall.control.cluster.errors import ApiError, ApiUnreachableError
from shieldwall.control.cluster.kinds import CONFIG_MAP, LEASE, SECRET, SERVICE
from shieldwall.control.reconcile import Outcome

from .conftest import SECRETS, TRAININGS, body_of, failure, replica, training_body

KEY = ("fed", "digits")
ROOT = "/api/v1/namespaces/ops/secrets"
NETWORK = "/apis/networking.k8s.io/v1/namespaces/fed/networkpolicies"
CORE = "/api/v1/namespaces/fed"
EVENTS = "POST /apis/events.k8s.io/v1/namespaces/fed/events"


def made(*paths):
    """Made by a server-side apply that is refused where there is something of that name."""
    return [f"PATCH {path}" for path in paths]


def stateful_set(part, volume):
    """Looked for, and then made, unless there is a volume that it would take up."""
    path = f"/apis/apps/v1/namespaces/fed/statefulsets/digits-{part}"
    return [f"GET {path}", f"GET {CORE}/persistentvolumeclaims/{volume}-digits-{part}-0", f"PATCH {path}"]


FIRST = [
    f"GET {ROOT}/shieldwall-root-ca",
    f"POST {ROOT}",
    f"GET {ROOT}/shieldwall-root-ca",  # whoever was first
    *[f"POST {SECRETS}"] * 3,  # the CA, the SuperExec's secret, the client's node key: a POST never writes over one
    f"GET {SECRETS}/digits-ca",  # its key, once for all leaves
    *[f"POST {SECRETS}"] * 3,
    EVENTS,
    f"GET {SECRETS}/digits-ca",  # its key, for the CRL
    *made(*(f"{CORE}/serviceaccounts/digits-{part}" for part in ("server", "aggregator", "client"))),
    *made(f"{NETWORK}/digits", *(f"{NETWORK}/digits-{part}" for part in ("server", "aggregator", "client"))),
    *made(*(f"{CORE}/configmaps/digits-{part}" for part in ("policy-spec", "client-policy", "policy", "trust"))),
    *made(*(f"{CORE}/services/digits-{part}" for part in ("server", "server-headless", "aggregator"))),
    *made("/apis/policy/v1/namespaces/fed/poddisruptionbudgets/digits-client"),
    *stateful_set("server", "state"),
    *stateful_set("aggregator", "model"),
    *made("/apis/apps/v1/namespaces/fed/deployments/digits-client-c0"),
    f"PATCH {TRAININGS}/digits/status",
    EVENTS,
    EVENTS,
]
OBJECTS = {
    f"{ROOT}/shieldwall-root-ca",
    f"{TRAININGS}/digits",
    *(f"{SECRETS}/digits-{part}" for part in ("ca", "superexec", "node-c0", "server-tls", "aggregator-tls", "tls-c0")),
    *(line.removeprefix("PATCH ") for line in FIRST if line.startswith("PATCH ") and not line.endswith("/status")),
}
WRITES = [index for index, line in enumerate(FIRST) if not line.startswith("GET ") and line != EVENTS]


async def first_pass(cluster, parts):
    """The requests of a first pass after the lists."""
    await parts.worker._lister.everything()
    cluster.requests.clear()
    verdict = await parts.reconciler.reconcile(KEY)
    asked, cluster.requests = cluster.requests, []
    return verdict, asked


async def settled(cluster, parts):
    """Passes until one asks for nothing; what is there then."""
    for _ in range(4):
        await parts.worker._lister.everything()
        cluster.requests.clear()
        verdict = await parts.reconciler.reconcile(KEY)
        if not cluster.requests:
            assert verdict.outcome is Outcome.OK
            return {path for path in cluster.objects if "/events/" not in path}
    raise AssertionError(cluster.requests)


def certificate(cluster, name):
    return base64.b64decode(cluster.objects[f"{SECRETS}/{name}"]["data"]["tls.crt"])


async def test_the_first_pass_makes_these_requests_and_the_next_none(cluster):
    cluster.put(training_body())
    async with replica(cluster) as parts:
        verdict, asked = await first_pass(cluster, parts)
        assert asked == FIRST
        assert verdict.outcome is Outcome.OK
        assert verdict.again > timedelta(hours=1), "the next deadline, and no polling"
        await parts.reconciler.reconcile(KEY)
        assert cluster.requests == []


async def test_what_is_there_already_and_is_somebody_elses_is_asked_for_once_and_then_only_looked_at(cluster):
    before = body_of(SERVICE, "digits-server", 9, training=None)
    path = cluster.put(before)
    cluster.put(training_body())
    async with replica(cluster) as parts:
        _, asked = await first_pass(cluster, parts)
        assert [line for line in asked if line.endswith(path)] == [f"PATCH {path}", f"GET {path}"]
        cluster.requests.clear()
        await parts.reconciler.reconcile(KEY)
        assert [line for line in cluster.requests if line.endswith(path)] == [f"GET {path}"]
    assert cluster.objects[path] is before


@pytest.mark.parametrize("index", WRITES)
@pytest.mark.parametrize("how", ["before", "after"])
async def test_a_connection_that_breaks_at_any_write_costs_another_pass_and_no_second_key(cluster, index, how):
    """Before the write was done, or after it and before its answer."""
    cluster.put(training_body())
    line, lost = FIRST[index], []

    async def broken(request):
        if how == "after":
            cluster._answer(request, await request.json())
        lost.append(certificate(cluster, "digits-ca") if f"{SECRETS}/digits-ca" in cluster.objects else None)
        request.transport.abort()
        return web.Response()

    async def fine(request):
        return None

    cluster.faults[line] = [fine] * FIRST[:index].count(line) + [broken]
    async with replica(cluster) as parts:
        with pytest.raises(ApiUnreachableError):
            await first_pass(cluster, parts)
        there = await settled(cluster, parts)
        assert there == OBJECTS
        assert lost[0] in {None, certificate(cluster, "digits-ca")}


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
async def test_a_busy_server_is_asked_again_at_once_a_few_times(cluster, api, status):
    cluster.put(body_of(CONFIG_MAP, "c", 1))
    line = f"GET {CORE}/configmaps/c"
    cluster.faults[line] = [failure(status, Retry_After="0") for _ in range(3)]
    assert (await api.get(CONFIG_MAP, "fed", "c"))["metadata"]["name"] == "c"
    assert cluster.requests == [line] * 4
    cluster.faults[line] = [failure(status, Retry_After="0") for _ in range(9)]
    with pytest.raises(ApiError) as caught:
        await api.get(CONFIG_MAP, "fed", "c")
    assert caught.value.status == status
    assert cluster.requests == [line] * 8, "then it is the work queue's affair"


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 410, 422])
async def test_a_clear_no_is_not_asked_again(cluster, api, status):
    line = f"POST {SECRETS}"
    cluster.faults[line] = [failure(status, "Word")]
    with pytest.raises(ApiError, match=f"{status} Word: a {status}") as caught:
        await api.create(SECRET, body_of(SECRET, "s", 0), "test")
    assert caught.value.conflict == (status == 409)
    assert cluster.requests == [line]


@pytest.mark.parametrize(("header", "seconds"), [
    ("7", 7), ("0", 0), ("3600", 10), ("Wed, 21 Oct 2026 07:28:00 GMT", 0.2), ("-1", 0.2), (None, 0.2),
])  # fmt: skip
def test_it_waits_as_long_as_it_is_asked_to_within_reason(header, seconds):
    patience = api_module._Patience(attempts=4, start_timeout=0.1)
    response = SimpleNamespace(headers={"Retry-After": header} if header is not None else {})
    assert patience.get_timeout(1, response) == pytest.approx(seconds)
    assert patience.get_timeout(1) == pytest.approx(0.2)


@pytest.mark.parametrize(
    ("line", "status", "reason"),
    [(f"PATCH {NETWORK}/digits", 500, "ApiError"), (f"POST {SECRETS}", 403, "ObjectRefused")],
)
async def test_what_the_server_refuses_is_told_and_tried_again(cluster, line, status, reason):
    cluster.put(training_body())
    cluster.faults[line] = [failure(status, "InternalError", Retry_After="0") for _ in range(4)]
    async with replica(cluster) as parts:
        with pytest.raises(ApiError, match=str(status)):
            await first_pass(cluster, parts)
        conditions = cluster.objects[f"{TRAININGS}/digits"]["status"]["conditions"]
        told = {each["type"]: each for each in conditions}
        for kind in ("Ready", "Reconciling"):
            assert told[kind]["reason"] == reason
            assert f"a {status}" in told[kind]["message"], "in the API server's words"
        assert told["Ready"]["status"] == "False"
        cluster.faults.clear()
        assert await settled(cluster, parts) == OBJECTS


def warnings_in(cluster):
    events = [body for path, body in cluster.objects.items() if "/events/" in path]
    return [(each["reason"], each["note"]) for each in events if each["type"] == "Warning"]


async def test_a_quota_is_one_event_however_often_it_refuses(cluster):
    cluster.put(training_body())
    message = 'configmaps "digits-policy" is forbidden: exceeded quota: small, requested: count/configmaps=1'
    line = "PATCH /apis/apps/v1/namespaces/fed/statefulsets/digits-server"

    async def refuse(_):
        body = {"kind": "Status", "status": "Failure", "code": 403, "reason": "Forbidden", "message": message}
        return web.json_response(body, status=403)

    async with replica(cluster) as parts:
        for _ in range(4):
            cluster.faults[line] = [refuse]
            with pytest.raises(ApiError, match="exceeded quota"):
                await first_pass(cluster, parts)
        ((reason, note),) = warnings_in(cluster)
        assert reason == "ObjectRefused"
        assert message in note
        cluster.faults.clear()
        await settled(cluster, parts)
        ready = next(
            each for each in cluster.objects[f"{TRAININGS}/digits"]["status"]["conditions"] if each["type"] == "Ready"
        )
        assert ready["reason"] != "ObjectRefused"
        assert len(warnings_in(cluster)) == 1


async def renewal(cluster, parts):
    """A settled training of which one leaf was asked to be renewed."""
    cluster.put(training_body())
    await first_pass(cluster, parts)
    before = await settled(cluster, parts)
    body = cluster.objects[f"{TRAININGS}/digits"]
    asked = {"annotations": {"renew.shieldwall.dev/server": "1"}}
    parts.store.put_training(cluster._stored({**body, "metadata": body["metadata"] | asked}, body))
    cluster.requests.clear()
    return before


async def test_a_conflict_on_a_renewal_is_silent_and_the_next_pass_looks_again(cluster):
    async with replica(cluster) as parts:
        before = await renewal(cluster, parts)
        put = f"PUT {SECRETS}/digits-server-tls"
        cluster.faults[put] = [failure(409, "Conflict")]
        leaf, authority = certificate(cluster, "digits-server-tls"), certificate(cluster, "digits-ca")
        with pytest.raises(ApiError) as caught:
            await parts.reconciler.reconcile(KEY)
        assert caught.value.conflict
        assert cluster.requests == [f"GET {SECRETS}/digits-ca", put]
        assert certificate(cluster, "digits-server-tls") == leaf
        await settled(cluster, parts)
        assert certificate(cluster, "digits-server-tls") != leaf
        assert certificate(cluster, "digits-ca") == authority
        assert await settled(cluster, parts) == before == OBJECTS


async def test_a_conflict_that_comes_again_and_again_is_told_until_it_has_gone(cluster):
    async with replica(cluster) as parts:
        await renewal(cluster, parts)
        put = f"PUT {SECRETS}/digits-server-tls"
        cluster.faults[put] = [failure(409, "Conflict") for _ in range(3)]
        told = []
        for _ in range(3):
            await parts.worker._lister.everything()
            with pytest.raises(ApiError, match="409"):
                await parts.reconciler.reconcile(KEY)
            conditions = cluster.objects[f"{TRAININGS}/digits"]["status"]["conditions"]
            told.append(next(each for each in conditions if each["type"] == "Reconciling"))
        assert [each["reason"] == "ApiError" for each in told] == [False, False, True]
        assert "409 Conflict" in told[-1]["message"]
        await settled(cluster, parts)
        conditions = cluster.objects[f"{TRAININGS}/digits"]["status"]["conditions"]
        assert "ApiError" not in {each["reason"] for each in conditions}


async def test_a_renewal_names_the_version_that_was_seen_and_never_writes_over_another(cluster):
    async with replica(cluster) as parts:
        await renewal(cluster, parts)
        other = cluster.objects[f"{SECRETS}/digits-server-tls"]
        other["metadata"]["resourceVersion"] = "9999"  # somebody was faster, and no event has come yet
        leaf = certificate(cluster, "digits-server-tls")
        with pytest.raises(ApiError) as caught:
            await parts.reconciler.reconcile(KEY)
        assert caught.value.conflict
        assert certificate(cluster, "digits-server-tls") == leaf


@pytest.mark.parametrize("text", ["<html>Log in</html>", "[]", '"a text"', "", "null"])
async def test_an_answer_that_is_no_object_is_no_answer(cluster, api, text):
    cluster.faults[f"GET {SECRETS}/s"] = [web.Response(text=text, content_type="text/html")]
    with pytest.raises(ApiUnreachableError, match="no JSON object"):
        await api.get(SECRET, "fed", "s")


@pytest.mark.parametrize(("status", "reason"), [(404, "NotFound"), (413, "RequestEntityTooLarge"), (520, "Unknown")])
async def test_an_error_of_a_proxy_is_an_error_all_the_same(cluster, api, status, reason):
    cluster.faults[f"GET {SECRETS}/s"] = [web.Response(status=status, text="<html>no</html>")]
    with pytest.raises(ApiError, match="<html>no") as caught:
        await api.get(SECRET, "fed", "s")
    assert (caught.value.status, caught.value.reason) == (status, reason)


async def test_a_proxys_page_in_the_middle_of_a_pass_costs_another_pass(cluster):
    cluster.put(training_body())
    cluster.faults[f"PATCH {NETWORK}/digits"] = [web.Response(text="<html>Log in</html>")]
    async with replica(cluster) as parts:
        with pytest.raises(ApiUnreachableError):
            await first_pass(cluster, parts)
        assert await settled(cluster, parts) == OBJECTS


async def test_an_answer_that_does_not_come_is_given_up_and_stands_in_nobodys_way(cluster, monkeypatch):
    monkeypatch.setattr(api_module, "_TIMEOUT", aiohttp.ClientTimeout(total=3))
    cluster.put(body_of(CONFIG_MAP, "c", 1))
    over = asyncio.Event()

    async def silent(request):
        await over.wait()

    cluster.faults[f"GET {SECRETS}/s"] = [silent]
    async with cluster.serving() as connection, Api(connection, in_flight=2) as api:
        hanging = asyncio.create_task(api.get(SECRET, "fed", "s"))
        assert await api.get(CONFIG_MAP, "fed", "c")
        assert not hanging.done()
        with pytest.raises(ApiUnreachableError):
            await hanging
        over.set()


async def test_a_lease_does_not_wait_behind_the_work(cluster):
    cluster.put(body_of(LEASE, "l", 1))
    over = asyncio.Event()

    async def silent(request):
        await over.wait()

    cluster.faults[f"GET {SECRETS}/s"] = [silent]
    async with cluster.serving() as connection, Api(connection, in_flight=1) as api:
        hanging = asyncio.create_task(api.get(SECRET, "fed", "s"))
        behind = asyncio.create_task(api.get(SECRET, "fed", "s"))
        async with asyncio.timeout(20):
            while not cluster.requests:
                await asyncio.sleep(0.001)
            assert await api.get(LEASE, "fed", "l")
        assert cluster.requests.count(f"GET {SECRETS}/s") == 1, "the bound holds for all else"
        over.set()
        await asyncio.wait({hanging, behind})
        assert isinstance(hanging.exception(), ApiError)
        assert isinstance(behind.exception(), ApiError)


async def test_a_status_is_not_written_to_a_later_training_of_the_same_name(cluster):
    """It was deleted and made anew since it was read; the server compares the uid that the request names."""
    cluster.put(training_body())

    async def made_anew(request):
        cluster.put(training_body(uid="uid-2"))
        meant = (await request.json())["metadata"].get("uid", "uid-2")
        return failure(409, "Conflict") if meant != "uid-2" else None

    line = f"PATCH {TRAININGS}/digits/status"
    cluster.faults[line] = [made_anew]
    async with replica(cluster) as parts:
        _, asked = await first_pass(cluster, parts)
        assert asked[-1] == line, "and no event tells of it"
        assert "status" not in cluster.objects[f"{TRAININGS}/digits"]


async def test_what_is_no_longer_wanted_is_deleted_and_nothing_that_came_after_it(cluster):
    cluster.put(training_body(clients=2))
    deleted = []

    async def delete(request):
        wanted = (await request.json()).get("preconditions", {}).get("uid")
        if wanted not in {None, cluster.objects[request.path]["metadata"]["uid"]}:
            return failure(409, "Conflict")
        del cluster.objects[request.path]
        deleted.append(request.path)
        return web.json_response({"kind": "Status", "status": "Success"})

    async with replica(cluster) as parts:
        await first_pass(cluster, parts)
        before = await settled(cluster, parts)
        deployment = next(path for path in before if path.endswith("/deployments/digits-client-c1"))
        gone = sorted(path for path in before if path.endswith("-c1"))
        for path in gone:
            cluster.faults[f"DELETE {path}"] = [delete]
        body = cluster.objects[f"{TRAININGS}/digits"]
        parts.store.put_training(cluster._stored({**body, "spec": training_body(clients=1)["spec"]}, body))
        cluster.objects[deployment]["metadata"]["uid"] = "of one that came after it"
        await parts.reconciler.reconcile(KEY)
        assert sorted(deleted) == [path for path in gone if path != deployment]
        assert len(deleted) == 2, "its leaf and its node key"
        assert cluster.objects[deployment]["metadata"]["uid"] == "of one that came after it"
