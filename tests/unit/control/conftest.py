"""An API server that can be told to fail and remembers every request; and a loop that never waits."""

from __future__ import annotations

import asyncio
import heapq
import itertools
import json
import random
from collections import defaultdict
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from types import SimpleNamespace

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from shieldwall.control.cluster.api import Api
from shieldwall.control.config import OperatorConfig
from shieldwall.control.wiring import wire

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
TRAINING_LABEL = "shieldwall.dev/training"
TRAININGS = "/apis/shieldwall.dev/v1alpha1/namespaces/fed/federatedtrainings"
SECRETS = "/api/v1/namespaces/fed/secrets"


def body_of(kind, name, version, *, training="digits", uid=None, **more):
    """An object as the API server gives it."""
    metadata = {"namespace": "fed", "name": name, "uid": uid or f"uid of {name}", "resourceVersion": str(version)}
    if training is not None:
        metadata["labels"] = {TRAINING_LABEL: training}
    return {"apiVersion": kind.api_version, "kind": kind.kind, "metadata": metadata | more.pop("metadata", {})} | more


def training_body(clients=1, name="digits", uid="uid-1", version="5"):
    return {
        "apiVersion": "shieldwall.dev/v1alpha1",
        "kind": "FederatedTraining",
        "metadata": {"name": name, "namespace": "fed", "uid": uid, "resourceVersion": version, "generation": 1},
        "spec": {
            "app": {"image": "example/digits:1", "clientApp": "digits.client_app:app", "model": "digits.task:model"},
            "rounds": {"count": 5},
            "clients": [{"name": f"c{index}"} for index in range(clients)],
            "aggregation": {"rule": "FedAvg", "insecure": True},
        },
    }


def failure(status, reason="Failure", **headers):
    """A Status object."""
    body = {"kind": "Status", "status": "Failure", "code": status, "reason": reason, "message": f"a {status}"}
    return web.json_response(
        body, status=status, headers={name.replace("_", "-"): value for name, value in headers.items()}
    )


def merged(standing, change):
    """RFC 7386."""
    if not isinstance(change, dict):
        return change
    whole = {**(standing if isinstance(standing, dict) else {})}
    for key, value in change.items():
        whole[key] = merged(whole.get(key), value) if value is not None else None
    return {key: value for key, value in whole.items() if value is not None}


def spoils(body, replaces, standing):
    """Whether the API server refuses this of an immutable object; who applies takes no field of others away."""
    return body.get("data") != standing.get("data") or (replaces and not body.get("immutable"))


class Cluster:
    """Objects by path. ``faults[line]`` are answered first, in order: a response, or what handles the request."""

    def __init__(self):
        self.objects = {}
        self.requests = []
        self.faults = defaultdict(list)
        self._versions = itertools.count(100)

    def put(self, body):
        """Put an object where it belongs; it keeps its version, or gets one."""
        metadata = body["metadata"]
        metadata.setdefault("resourceVersion", str(next(self._versions)))
        path = self._collection(body) + "/" + metadata["name"]
        self.objects[path] = body
        return path

    def _collection(self, body):
        version, plural = body["apiVersion"], body["kind"].lower().replace("policy", "policie") + "s"
        return f"/{'apis' if '/' in version else 'api'}/{version}/namespaces/{body['metadata']['namespace']}/{plural}"

    async def handle(self, request):
        line = f"{request.method} {request.path}"
        self.requests.append(line)
        content = await request.read()
        if self.faults[line]:
            fault = self.faults[line].pop(0)
            answer = fault if isinstance(fault, web.StreamResponse) else await fault(request)
            if answer is not None:
                return answer
        body = json.loads(content) if content else None
        if request.content_type == "application/merge-patch+json":
            body = merged(self.objects[request.path], body)
        return self._answer(request, body)

    def _answer(self, request, body):
        path, standing = request.path, self.objects.get(request.path.removesuffix("/status"))
        if request.method == "GET":
            return self._read(path, standing)
        if request.method == "POST":
            return self._post(path, body)
        if request.method == "DELETE":
            return self._delete(path, standing, body)
        return self._change(request, body, standing)

    def _change(self, request, body, standing):
        if standing is not None and standing.get("immutable") and spoils(body, request.method == "PUT", standing):
            return failure(422, "Invalid")
        if request.method == "PATCH":
            expected = body["metadata"].get("resourceVersion")
            if standing is not None and expected not in {None, standing["metadata"]["resourceVersion"]}:
                return failure(409, "Conflict")
            uid = body["metadata"].get("uid")
            if uid is not None and (standing is None or standing["metadata"]["uid"] != uid):
                return failure(409, "Conflict")
            whole = {**standing, "status": body["status"]} if request.path.endswith("/status") else body
            applied = {"manager": request.query["fieldManager"], "operation": "Apply", "fieldsV1": {}}
            if not request.path.endswith("/status"):
                whole = {**whole, "metadata": {**whole["metadata"], "managedFields": [applied]}}
            kept = {"immutable": True} if standing is not None and standing.get("immutable") else {}
            return web.json_response(self._stored({**whole, **kept}, standing))
        assert request.method == "PUT", request.method
        if body["metadata"]["resourceVersion"] != standing["metadata"]["resourceVersion"]:
            return failure(409, "Conflict")
        return web.json_response(self._stored(body, standing))

    def _read(self, path, standing):
        if standing is not None:
            return web.json_response(standing)
        if path.rsplit("/", 2)[-2] not in {"fed", "v1", "v1alpha1"}:
            return failure(404, "NotFound")
        items = [body for name, body in self.objects.items() if name.rpartition("/")[0] == path]
        return web.json_response({"metadata": {"resourceVersion": str(next(self._versions))}, "items": items})

    def _post(self, path, body):
        if f"{path}/{body['metadata']['name']}" in self.objects:
            return failure(409, "AlreadyExists")
        return web.json_response(self._stored(body, None), status=201)

    def _delete(self, path, standing, body):
        if standing is None:
            return failure(404, "NotFound")
        if body["preconditions"]["uid"] != standing["metadata"]["uid"]:
            return failure(409, "Conflict")
        if standing["metadata"].get("finalizers"):
            standing["metadata"]["deletionTimestamp"] = "2026-03-01T12:00:00Z"
            return web.json_response(standing)
        del self.objects[path]
        return web.json_response({"kind": "Status", "status": "Success"})

    def _stored(self, body, standing):
        metadata = {**body["metadata"], "resourceVersion": str(next(self._versions))}
        metadata["uid"] = standing["metadata"]["uid"] if standing is not None else f"uid-{metadata['resourceVersion']}"
        stored = {**body, "metadata": metadata}
        self.put(stored)
        return stored

    @asynccontextmanager
    async def serving(self):
        """The connection to it."""
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self.handle)
        async with TestServer(app) as server:

            async def authorization():
                return {"Authorization": "Bearer of the test"}

            yield SimpleNamespace(
                server=str(server.make_url("/")).rstrip("/"),
                ssl_context=True,
                tls_server_name=None,
                proxy=None,
                authorization=authorization,
            )


@pytest.fixture
def cluster():
    return Cluster()


@pytest.fixture
async def api(cluster):
    async with cluster.serving() as connection, Api(connection, in_flight=4) as api:
        yield api


@asynccontextmanager
async def replica(cluster, clock=lambda: NOW, **more):
    """The operator's parts, at NOW unless ``clock`` says otherwise, against ``cluster``."""
    config = OperatorConfig.model_validate_json(
        json.dumps({"watchNamespaces": ["fed"], "operatorNamespace": "ops"} | more)
    )
    async with cluster.serving() as connection, wire(config, connection, "replica", clock=clock) as parts:
        yield parts


class Clock:
    """Stands still until it is moved."""

    def __init__(self):
        self.now = NOW

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


class Impatient(asyncio.SelectorEventLoop):
    """Time passes only when there is nothing left to do at that time."""

    def __init__(self):
        super().__init__()
        self._now = 0.0

    def time(self):
        return self._now

    def _run_once(self):
        while self._scheduled and self._scheduled[0].cancelled():
            heapq.heappop(self._scheduled)._scheduled = False
            self._timer_cancelled_count -= 1
        if not self._ready and self._scheduled:
            self._now = max(self._now, self._scheduled[0].when())
        super()._run_once()


def simulate(main):
    """Run ``main(loop)`` in time that does not pass by itself."""

    async def run():
        return await main(asyncio.get_running_loop())

    with asyncio.Runner(loop_factory=Impatient) as runner:
        return runner.run(run())


@pytest.fixture
def dice():
    return random.Random(7)  # noqa: S311  # a test's
