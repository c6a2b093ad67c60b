"""One real API server for all tests here, a namespace for each, and the operator in this process or in its own."""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import socket
import subprocess
import sys
import time
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from harness.apiserver import ApiServer
from harness.chart import operator_kubeconfig
from harness.controller_manager import ControllerManager
from harness.crds import install_crds

from shieldwall.control.cluster.connection import connect
from shieldwall.control.cluster.errors import ApiError
from shieldwall.control.config import OperatorConfig
from shieldwall.control.wiring import wire

if TYPE_CHECKING:
    from collections.abc import Callable

    from shieldwall.control.wiring import Wiring

ROOT = Path(__file__).parents[3]
CRD = ROOT / "crds" / "shieldwall.dev_federatedtrainings.yaml"
BUDGET_CRD = ROOT / "crds" / "shieldwall.dev_privacybudgets.yaml"
OURS = {"federatedtrainings", "privacybudgets"}
CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
KINDS = {
    "serviceaccounts": "/api/v1",
    "configmaps": "/api/v1",
    "services": "/api/v1",
    "secrets": "/api/v1",
    "networkpolicies": "/apis/networking.k8s.io/v1",
    "poddisruptionbudgets": "/apis/policy/v1",
    "statefulsets": "/apis/apps/v1",
    "deployments": "/apis/apps/v1",
}
TRAININGS = "/apis/shieldwall.dev/v1alpha1"


@pytest.fixture(scope="session")
def server(tmp_path_factory):
    with ApiServer(tmp_path_factory.mktemp("cluster") / "server") as running:
        install_crds(running, CRD, BUDGET_CRD)
        with ControllerManager(running):
            yield running


def eventually(question: Callable[[], Any], seconds: float = 30.0) -> Any:
    """What ``question`` says once it is true; an AssertionError when it never is."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            answer = question()
        except (httpx.HTTPStatusError, httpx.TransportError, KeyError, StopIteration, AssertionError):
            answer = None  # also of who is not told of yet, or has no time to answer
        if answer or time.monotonic() > deadline:
            assert answer, f"not within {seconds} s"
            return answer
        time.sleep(0.1)


def free_port() -> int:
    """A port of loopback that nobody has, and that nobody is given who asks for any: it stays free for a while."""
    given = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    while True:
        port = random.SystemRandom().randrange(given // 2, given)
        with suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port


@dataclass
class Space:
    """One namespace of the test's own."""

    server: ApiServer
    name: str

    def path(self, plural: str, name: str = "") -> str:
        base = KINDS.get(plural, TRAININGS if plural in OURS else "/api/v1")
        return f"{base}/namespaces/{self.name}/{plural}" + (f"/{name}" if name else "")

    def get(self, plural: str, name: str) -> dict[str, Any]:
        return self.server.request("GET", self.path(plural, name))

    def find(self, plural: str, name: str) -> dict[str, Any] | None:
        try:
            return self.get(plural, name)
        except httpx.HTTPStatusError as error:
            if error.response.status_code == 404:
                return None
            raise

    def all(self, plural: str) -> dict[str, dict[str, Any]]:
        items = self.server.request("GET", self.path(plural))["items"]
        return {item["metadata"]["name"]: item for item in items}

    def owned(self, training: str = "digits") -> dict[tuple[str, str], dict[str, Any]]:
        """All that carries the training's label."""
        found = {}
        for plural in KINDS:
            for name, item in self.all(plural).items():
                if item["metadata"].get("labels", {}).get("shieldwall.dev/training") == training:
                    found[plural, name] = item
        return found

    def apply(self, document: dict[str, Any]) -> dict[str, Any]:
        """Apply a training, or a budget, as kubectl does."""
        plural = f"{document['kind'].lower()}s"
        return self.server.request("PATCH", self.path(plural, document["metadata"]["name"]), document)

    def patch(self, plural: str, name: str, change: dict[str, Any]) -> dict[str, Any]:
        """A patch as kubectl sends it: strategic for Kubernetes' own kinds."""
        kind = "merge" if plural in OURS else "strategic-merge"
        return self.server.request("PATCH", self.path(plural, name), change, patch=kind)

    def would_refuse(self, plural: str, document: dict[str, Any]) -> str | None:
        """Why the API server would not make the object; None when it would. Nothing is made."""
        try:
            self.server.request("POST", f"{self.path(plural)}?dryRun=All", document)
        except httpx.HTTPStatusError as error:
            return str(error.response.json()["message"])
        return None

    def delete(self, plural: str, name: str) -> None:
        self.server.request("DELETE", self.path(plural, name), {"propagationPolicy": "Background"})

    def status(self, training: str = "digits") -> dict[str, Any]:
        return self.get("federatedtrainings", training).get("status", {})

    def condition(self, kind: str, training: str = "digits") -> dict[str, Any]:
        return next(each for each in self.status(training)["conditions"] if each["type"] == kind)

    def config(self, **more: Any) -> dict[str, Any]:
        return {
            "watchNamespaces": [self.name],
            "operatorNamespace": self.name,
            "metricsPort": 0,
            "relistSeconds": 3600,
            "leaderElection": {"enabled": False},
        } | more

    def writes(self, since: datetime) -> list[str]:
        """What was written here, but events and leases."""
        return [
            f"{each.verb} {each.resource}/{each.subresource} {each.name}"
            for each in self.server.audit.requests(since=since)
            if each.namespace == self.name
            and each.writes
            and each.resource not in {"events", "leases"}
            and "controller-manager" not in each.user
            and "generic-garbage-collector" not in each.user
            and not each.user.startswith("system:serviceaccount:kube-system:")
        ]


@pytest.fixture
def space(server, request):
    name = f"t{abs(hash(request.node.nodeid)) % 10**9}-{int(time.time() * 1000) % 10**6}"
    server.request("POST", "/api/v1/namespaces", {"metadata": {"name": name}})
    eventually(lambda: server.request("GET", f"/api/v1/namespaces/{name}/serviceaccounts/default"))
    return Space(server, name)


def training(space: Space, clients: int = 3, name: str = "digits", **spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "shieldwall.dev/v1alpha1",
        "kind": "FederatedTraining",
        "metadata": {"name": name, "namespace": space.name},
        "spec": {
            "app": {"image": "example/digits:1", "clientApp": "digits.client_app:app", "model": "digits.task:model"},
            "rounds": {"count": 5},
            "clients": [{"name": f"c{index}"} for index in range(clients)],
            "aggregation": {"rule": "FedMedian", "byzantine": 1},
        }
        | spec,
    }


class Clock:
    """A clock that goes on by itself and can be moved."""

    def __init__(self) -> None:
        self.ahead = datetime.now(UTC) - datetime.now(UTC)

    def __call__(self) -> datetime:
        return datetime.now(UTC) + self.ahead


def rights(space: Space, config: dict[str, Any]) -> Path:
    """The kubeconfig of an operator that has the rights of the chart, and no others."""
    return operator_kubeconfig(space.server, config["operatorNamespace"], tuple(config["watchNamespaces"]))


@asynccontextmanager
async def replica(space: Space, clock: Callable[[], datetime] | None = None, **more: Any):
    """The operator's parts in this process, not yet at work."""
    config = OperatorConfig.model_validate_json(json.dumps(space.config(**more)))
    kubeconfig = await asyncio.to_thread(rights, space, json.loads(config.model_dump_json(by_alias=True)))
    options = {"clock": clock} if clock is not None else {}
    async with wire(config, await connect(kubeconfig), "replica-of-a-test", **options) as parts:
        yield parts
    await asyncio.sleep(0.1)  # connections that were closed leave the loop before it ends with the test


async def passes(parts: Wiring, space: Space, name: str = "digits", most: int = 8) -> int:
    """List everything, then pass after pass until one writes nothing; says how many it took."""
    await parts.worker._lister.everything()
    for count in range(most):
        before = datetime.now(UTC)
        await parts.reconciler.reconcile((space.name, name))
        await asyncio.sleep(0.05)
        if not await asyncio.to_thread(space.writes, before):
            return count
    raise AssertionError(f"still writing after {most} passes")


async def mended(parts: Wiring, space: Space, name: str = "digits", most: int = 8) -> None:
    """The same, while controllers write too: after a conflict the worker looks again, and so does this."""
    for _ in range(most):
        try:
            await passes(parts, space, name)
        except ApiError as error:
            if not error.conflict:
                raise
        else:
            return
    raise AssertionError(f"conflicts in {most} tries")


async def quiet(parts: Wiring, space: Space) -> None:
    """Passes until the controllers, where there are any, have said all that they say of new workloads."""
    calm = 0
    while calm < 3:
        said = await asyncio.to_thread(controlled, space)  # before the pass: it is to be in it
        calm = calm + 1 if await passes(parts, space) == 0 and said else 0
        await asyncio.sleep(0.3)


def controlled(space: Space) -> bool:
    """Whether the controllers have seen each workload as it is, and made its pods. Without controllers nobody waits."""
    if space.find("serviceaccounts", "default") is None:
        return True
    workloads = [*space.all("deployments").values(), *space.all("statefulsets").values()]
    return all(
        item["status"].get("observedGeneration") == item["metadata"]["generation"]
        and item["status"].get("replicas", 0) == item["spec"]["replicas"]
        for item in workloads
    )


@contextmanager
def operator(
    space: Space, directory: Path, kubeconfig: Path | None = None, config: dict[str, Any] | None = None, **more: Any
):
    """The operator as a process of its own; its log is ``operator.log``."""
    directory.mkdir(parents=True, exist_ok=True)
    file = directory / "operator.yaml"
    config = config if config is not None else space.config(**more)
    file.write_text(json.dumps(config))
    command = [
        Path(sys.executable).parent / "shieldwall-operator",
        "--config", file, "--kubeconfig", kubeconfig or rights(space, config),
    ]  # fmt: skip
    environment = {**os.environ, "POD_NAME": directory.name}
    with (directory / "operator.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, env=environment)
    try:
        yield process
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
