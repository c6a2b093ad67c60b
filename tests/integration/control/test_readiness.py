"""/readyz of a real operator: without rights, without one right, and while the API server is away."""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager

import httpx
import pytest
from harness.apiserver import ApiServer
from harness.crds import install_crds

from shieldwall.control.cluster.connection import connect
from shieldwall.control.config import OperatorConfig
from shieldwall.control.main import operate

from .conftest import BUDGET_CRD, CRD, KINDS, Space, eventually, free_port, operator

pytestmark = pytest.mark.slow

RBAC = "/apis/rbac.authorization.k8s.io/v1"
GROUPS = ["", "apps", "networking.k8s.io", "policy", "shieldwall.dev", "coordination.k8s.io"]
PLURALS = [*KINDS, "federatedtrainings", "privacybudgets", "leases"]
PATIENCE = 4.0


def ask(port, path="/readyz"):
    """Code and body; None while nobody listens."""
    try:
        answer = httpx.get(f"http://127.0.0.1:{port}{path}", timeout=5, trust_env=False)
    except httpx.TransportError:
        return None
    return answer.status_code, answer.text.strip()


def refused(port):
    """What the metrics say was refused, as (verb, kind)."""
    lines = httpx.get(f"http://127.0.0.1:{port}/metrics", timeout=5, trust_env=False).text.splitlines()
    mine = [line for line in lines if line.startswith("shieldwall_api_requests_total") and 'code="403"' in line]
    return {(line.split('verb="')[1].split('"')[0], line.split('kind="')[1].split('"')[0]) for line in mine}


def allow(space, user, *but):
    """Every right in the namespace, but for those in ``but``: (plural, verb)."""
    verbs = ["get", "list", "watch", "create", "update", "patch", "delete"]
    rules = [
        {"apiGroups": GROUPS, "resources": [plural], "verbs": [verb for verb in verbs if (plural, verb) not in but]}
        for plural in PLURALS
    ]
    base = f"{RBAC}/namespaces/{space.name}"
    meta = {"apiVersion": "rbac.authorization.k8s.io/v1", "metadata": {"name": user}}
    space.server.request("PATCH", f"{base}/roles/{user}", meta | {"kind": "Role", "rules": rules})
    binding = {
        "kind": "RoleBinding",
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": user},
        "subjects": [{"kind": "User", "name": user, "apiGroup": "rbac.authorization.k8s.io"}],
    }
    space.server.request("PATCH", f"{base}/rolebindings/{user}", meta | binding)


def test_without_any_right_it_lives_and_is_not_ready_and_says_why(space, tmp_path):
    port, kubeconfig = free_port(), space.server.kubeconfig("nobody")
    with operator(space, tmp_path / "op", kubeconfig, metricsPort=port) as process:
        told = eventually(lambda: (found := ask(port)) and "forbidden" in found[1] and found)
        assert told[0] == 503
        assert "watch of " in told[1]
        assert "\n" not in told[1]
        assert ask(port, "/healthz") == (200, "ok")
        eventually(lambda: {("list", "Secret"), ("list", "FederatedTraining")} <= refused(port))
        assert process.poll() is None


@pytest.mark.parametrize(("plural", "kind"), [("secrets", "Secret"), ("federatedtrainings", "FederatedTraining")])
def test_without_the_right_to_watch_one_kind_it_is_not_ready_until_it_has_it(space, tmp_path, plural, kind):
    port, user = free_port(), f"almost-{plural}"
    allow(space, user, (plural, "watch"))
    kubeconfig = space.server.kubeconfig(user)
    with operator(space, tmp_path / "op", kubeconfig, metricsPort=port):
        only = (503, f"watch of {plural} in {space.name}: forbidden")
        eventually(lambda: ask(port) == only)
        assert ("watch", kind) in refused(port)
        assert ("list", kind) not in refused(port)
        assert ask(port, "/healthz") == (200, "ok")
        allow(space, user)
        eventually(lambda: ask(port) == (200, "ok"))


def test_without_the_right_to_take_the_lease_it_is_not_ready_until_it_has_it(space, tmp_path):
    """It sees everything and would wait for ever."""
    port, user = free_port(), "spectator"
    allow(space, user, ("leases", "create"))
    election = {"enabled": True, "retryPeriodSeconds": 1}
    with operator(space, tmp_path / "op", space.server.kubeconfig(user), metricsPort=port, leaderElection=election):
        eventually(lambda: ask(port) == (503, "create of the Lease: forbidden"))
        allow(space, user)
        eventually(lambda: ask(port) == (200, "ok"))


@pytest.fixture(scope="module")
def own(tmp_path_factory):
    with ApiServer(tmp_path_factory.mktemp("own") / "server") as server:
        yield server


@asynccontextmanager
async def running(space, port, **more):
    """The operator in this process, with less patience."""
    config = OperatorConfig.model_validate_json(json.dumps(space.config(metricsPort=port, **more)))
    kubeconfig, told = await asyncio.to_thread(space.server.kubeconfig), asyncio.Event()
    task = asyncio.create_task(operate(config, await connect(kubeconfig), told, PATIENCE))
    try:
        yield task
    finally:
        told.set()
        await asyncio.wait_for(task, 30)


async def becomes(port, question, seconds=30.0):
    return await asyncio.to_thread(eventually, lambda: (found := ask(port)) and question(found) and found, seconds)


@pytest.mark.timeout(180)
async def test_it_waits_for_its_kind_and_for_the_api_server(own):
    """First there is no CRD, as when the chart's is left out; then it is there; then the API server goes, and comes."""
    space, port = Space(own, "lonely"), free_port()
    await asyncio.to_thread(own.request, "POST", "/api/v1/namespaces", {"metadata": {"name": "lonely"}})
    async with running(space, port) as task:
        absent = "watch of federatedtrainings in lonely: not found: is its CustomResourceDefinition installed?"
        await becomes(port, lambda found: found[0] == 503 and absent in found[1])
        await asyncio.to_thread(install_crds, own, BUDGET_CRD, CRD)
        await becomes(port, lambda found: found == (200, "ok"))
        loop = asyncio.get_running_loop()

        def pause():
            own.pause()  # it takes its time to end, and does not answer in the end
            return loop.time()

        going = loop.time()
        pausing = asyncio.create_task(asyncio.to_thread(pause))
        code, text = await becomes(port, lambda found: found != (200, "ok"))
        told, away = loop.time(), await pausing
        assert (code, text.startswith("API server silent for ")) == (503, True)
        assert told - going > PATIENCE - 3, "not at once"
        assert told - away < PATIENCE + 3
        assert (await asyncio.to_thread(ask, port, "/healthz")) == (200, "ok")
        await asyncio.to_thread(own.resume)
        await becomes(port, lambda found: found == (200, "ok"))
        assert not task.done()


@pytest.mark.timeout(180)
async def test_a_standby_is_as_ready_as_the_leader(own):
    space = Space(own, "two")
    await asyncio.to_thread(own.request, "POST", "/api/v1/namespaces", {"metadata": {"name": "two"}})
    await asyncio.to_thread(install_crds, own, CRD, BUDGET_CRD)
    first, second = free_port(), free_port()
    election = {"leaderElection": {"enabled": True}}
    async with running(space, first, **election):
        await becomes(first, lambda found: found == (200, "ok"))
        async with running(space, second, **election):
            await becomes(second, lambda found: found == (200, "ok"))
            await asyncio.sleep(PATIENCE + 1)
            assert (await asyncio.to_thread(ask, second)) == (200, "ok")
