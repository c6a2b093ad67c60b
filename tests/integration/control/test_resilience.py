"""The cluster goes away, forgets, refuses or takes a namespace: nothing is lost, and nothing is done twice."""

from __future__ import annotations

import signal
import time
from contextlib import contextmanager

import httpx
import pytest
from harness.apiserver import ETCD_PORT, ApiServer
from harness.controller_manager import ControllerManager
from harness.crds import install_crds

from .conftest import BUDGET_CRD, CRD, Space, eventually, free_port, operator, training

pytestmark = pytest.mark.slow


@contextmanager
def cluster(directory, *arguments, controllers=True):
    """An API server that a test may hurt."""
    with ApiServer(directory, arguments=arguments) as server:
        install_crds(server, CRD, BUDGET_CRD)
        if not controllers:
            yield server
            return
        with ControllerManager(server):
            yield server


@pytest.fixture(scope="module")
def own(tmp_path_factory):
    with cluster(tmp_path_factory.mktemp("own") / "server") as server:
        yield server


def space_in(server, name):
    server.request("POST", "/api/v1/namespaces", {"metadata": {"name": name}})
    return Space(server, name)


def series(port, training):
    """Lines of the operator's metrics about one training."""
    text = httpx.get(f"http://127.0.0.1:{port}/metrics", timeout=5, trust_env=False).text
    return [line for line in text.splitlines() if f'training="{training}"' in line]


def complete(space, name, clients=1):
    owned = space.owned(name)
    pods = {("statefulsets", f"{name}-server"), ("statefulsets", f"{name}-aggregator")}
    pods |= {("deployments", f"{name}-client-c{index}") for index in range(clients)}
    return pods <= set(owned) and space.status(name).get("observedGeneration")


def one(space, name, clients=1, **more):
    return training(space, clients, name, aggregation={"rule": "FedAvg", "insecure": True}, **more)


def log_of(tmp_path):
    return (tmp_path / "op" / "operator.log").read_text()


@pytest.mark.timeout(420)
def test_after_a_minute_without_an_api_server_nothing_is_lost(own, tmp_path):
    """Trainings are made, changed and deleted as soon as it is back, before any watch is."""
    space, port = space_in(own, "minute"), free_port()
    with operator(space, tmp_path / "op", metricsPort=port) as process:
        for name in ("changed", "deleted"):
            space.apply(one(space, name))
        eventually(lambda: complete(space, "changed") and complete(space, "deleted"), 60)
        assert series(port, "deleted")
        own.pause()
        time.sleep(60)
        own.resume()
        began = time.monotonic()
        space.apply(one(space, "made"))
        space.apply(one(space, "changed", 2))
        space.delete("federatedtrainings", "deleted")
        eventually(lambda: complete(space, "made"), 60)
        eventually(lambda: complete(space, "changed", 2), 60)
        eventually(lambda: not series(port, "deleted"), 60)
        assert time.monotonic() - began < 30, "and soon, although no list is due for an hour"
        # The garbage collector, not the operator, takes the objects; it comes back slower from a minute of silence.
        eventually(lambda: not space.owned("deleted"), 180)
        assert process.poll() is None, log_of(tmp_path)


@pytest.mark.timeout(300)
def test_what_ended_while_nobody_watched_is_noticed_by_the_next_list(own, tmp_path):
    """The watch's place in history is gone when the operator wakes up: no watch will ever tell of the deletion."""
    space, port = space_in(own, "asleep"), free_port()
    with operator(space, tmp_path / "op", metricsPort=port) as process:
        for name in ("deleted", "stays"):
            space.apply(one(space, name))
        eventually(lambda: complete(space, "deleted") and complete(space, "stays"), 60)
        process.send_signal(signal.SIGSTOP)
        try:
            space.delete("federatedtrainings", "deleted")
            space.delete("configmaps", "stays-policy")
            space.apply(one(space, "made"))
            eventually(lambda: not space.owned("deleted"), 60)
            forget_history(own)
        finally:
            process.send_signal(signal.SIGCONT)
        eventually(lambda: complete(space, "made"), 60)
        eventually(lambda: space.find("configmaps", "stays-policy"), 60)
        eventually(lambda: not series(port, "deleted"), 60)
        assert series(port, "stays")
        time.sleep(3)
        assert not space.owned("deleted"), "nothing was made for a training that has gone"
        assert process.poll() is None, log_of(tmp_path)


def forget_history(server):
    """Compact etcd, and restart the API server with its cache of watches: versions of before are answered with 410."""
    etcd = f"http://{server.address}:{ETCD_PORT}"
    revision = httpx.post(f"{etcd}/v3/maintenance/status", json={}, trust_env=False).json()["header"]["revision"]
    compacted = httpx.post(f"{etcd}/v3/kv/compaction", json={"revision": revision, "physical": True}, trust_env=False)
    assert compacted.is_success, compacted.text
    server.restart()


@pytest.mark.timeout(300)
def test_a_namespace_that_is_deleted_ends_and_the_operator_stays_calm(server, tmp_path):
    space, port = space_in(server, "doomed"), free_port()
    outside = space_in(server, "outside")
    config = {"watchNamespaces": ["doomed", "outside"], "operatorNamespace": "outside", "metricsPort": port}
    with operator(space, tmp_path / "op", **config) as process:
        space.apply(one(space, "digits", 3))
        outside.apply(one(outside, "other"))
        eventually(lambda: complete(space, "digits", 3) and complete(outside, "other"), 60)
        server.request("DELETE", "/api/v1/namespaces/doomed")

        def ended():
            try:
                server.request("GET", "/api/v1/namespaces/doomed")
            except httpx.HTTPStatusError as error:
                return error.response.status_code == 404

        eventually(ended, 60)
        eventually(lambda: not series(port, "digits"), 30)
        since = len(log_of(tmp_path))
        time.sleep(5)
        assert process.poll() is None
        log = log_of(tmp_path)
        assert "a mistake of ours" not in log
        assert "doomed" not in log[since:], "nothing is tried any more"
        outside.apply(one(outside, "other", 2))
        eventually(lambda: complete(outside, "other", 2))


@pytest.mark.timeout(120)
def test_an_object_whose_label_is_changed_gets_it_back(server, tmp_path):
    """It is on no list of its training any more, and on no other's."""
    space = space_in(server, "labels")
    with operator(space, tmp_path / "op"):
        space.apply(one(space, "digits"))
        eventually(lambda: complete(space, "digits"), 60)
        for value in ("other", None):
            for plural, name in (("configmaps", "digits-policy"), ("deployments", "digits-client-c0")):
                space.patch(plural, name, {"metadata": {"labels": {"shieldwall.dev/training": value}}})
                eventually(lambda plural=plural, name=name: (plural, name) in space.owned("digits"), 5)


@pytest.mark.timeout(400)
def test_an_api_server_that_answers_429_most_of_the_time_is_waited_for(tmp_path):
    """Two requests at a time are all that it takes; the operator, its watches and ten trainings want more."""
    flags = ["--enable-priority-and-fairness=false", "--max-requests-inflight=1", "--max-mutating-requests-inflight=1"]
    with cluster(tmp_path / "server", *flags, controllers=False) as server:
        space, port = space_in(server, "storm"), free_port()
        bind(server, "crowd")
        kubeconfig = server.kubeconfig("crowd", ["crowd"])  # whom the limits are for: not system:masters
        names = [f"t{index}" for index in range(10)]
        config = {"metricsPort": port, "workers": 8, "requestsInFlight": 32}
        with operator(space, tmp_path / "op", kubeconfig, **config) as process:
            for name in names:
                space.apply(one(space, name, 2))
            eventually(lambda: all(complete(space, name, 2) for name in names), 200)
            assert process.poll() is None, log_of(tmp_path)
            text = server._client.get("/metrics").text
            refused = [line for line in text.splitlines() if "apiserver_request_total" in line and 'code="429"' in line]
            assert refused, "the storm did not take place"
            certificates = [each for name in names for each in space.owned(name) if each[1] == f"{name}-ca"]
            assert len(certificates) == 10


def bind(server, group):
    server.request(
        "POST",
        "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings",
        {
            "metadata": {"name": group},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"},
            "subjects": [{"kind": "Group", "name": group, "apiGroup": "rbac.authorization.k8s.io"}],
        },
    )
