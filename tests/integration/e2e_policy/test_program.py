"""`python -m policy` between a real API server and a real kernel."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from harness.apiserver import ApiServer
from harness.process import until
from integration.e2e_policy.network import PODS

pytestmark = pytest.mark.slow

E2E = Path(__file__).parents[3] / "e2e"
WEB, DB, NEW = PODS
CORE, NETWORKING = "/api/v1/namespaces", "/apis/networking.k8s.io/v1/namespaces"


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with ApiServer(tmp_path_factory.mktemp("cluster") / "server") as running:
        yield running


@pytest.fixture
def space(server, request):
    name = f"t{abs(hash(request.node.name)) % 10**8}"
    server.request("POST", CORE, {"metadata": {"name": name}})
    server.request("POST", f"{CORE}/{name}/serviceaccounts", {"metadata": {"name": "default"}})
    yield name
    for kind in (f"{NETWORKING}/{name}/networkpolicies", f"{CORE}/{name}/pods"):
        for item in server.request("GET", kind)["items"]:
            server.request("DELETE", f"{kind}/{item['metadata']['name']}", {"gracePeriodSeconds": 0})


@pytest.fixture
def cluster(server, space):
    return Cluster(server, space)


class Cluster:
    def __init__(self, server, space):
        self.server = server
        self.space = space

    def pod(self, name, address, **labels):
        body = {
            "metadata": {"name": name, "labels": labels},
            "spec": {"containers": [{"name": "main", "image": "none"}], "automountServiceAccountToken": False},
        }
        self.server.request("POST", f"{CORE}/{self.space}/pods", body)
        status = {"status": {"phase": "Running", "podIP": address, "podIPs": [{"ip": address}]}}
        self.server.request("PATCH", f"{CORE}/{self.space}/pods/{name}/status", status, patch="strategic-merge")

    def label(self, name, **labels):
        path = f"{CORE}/{self.space}/pods/{name}"
        self.server.request("PATCH", path, {"metadata": {"labels": labels}}, patch="merge")

    def delete(self, name):
        self.server.request("DELETE", f"{CORE}/{self.space}/pods/{name}", {"gracePeriodSeconds": 0})

    def policy(self, name, **spec):
        body = {"metadata": {"name": name}, "spec": {"podSelector": {}, **spec}}
        self.server.request("POST", f"{NETWORKING}/{self.space}/networkpolicies", body)


class Agent:
    def __init__(self, network, server, directory, *more):
        self.ready = directory / "ready"
        self.log = directory / "policy.log"
        command = [
            sys.executable, "-m", "policy", "--kubeconfig", server.kubeconfig(), "--netns", network.node,
            "--ready-file", self.ready, *more,
        ]  # fmt: skip
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(command, cwd=E2E, stdout=log, stderr=subprocess.STDOUT)

    def wait(self):
        until(lambda: self.ready.exists() or self.process.poll() is not None, 30)
        assert self.process.poll() is None, self.log.read_text()
        return self


@pytest.fixture
def agent(network, server, tmp_path, request):
    found = Agent(network, server, tmp_path, *getattr(request, "param", ()))
    yield found
    if found.process.poll() is None:
        found.process.terminate()
        found.process.wait(20)
    assert "Traceback" not in found.log.read_text()


@pytest.fixture(autouse=True)
def servers(network):
    with network.listen(DB, 80), network.listen(WEB, 80):
        yield


def becomes(network, source, destination, verdict):
    until(lambda: network.tcp(source, destination, 80) == verdict, 15)


def test_it_follows_pods_labels_policies_and_namespaces(network, cluster, agent):
    cluster.pod("web", WEB, app="web")
    cluster.pod("db", DB, app="db")
    agent.wait()
    becomes(network, WEB, DB, "open")
    named = {"namespaceSelector": {"matchLabels": {"kind": "good"}}, "podSelector": {"matchLabels": {"app": "web"}}}
    cluster.policy("db", podSelector={"matchLabels": {"app": "db"}}, ingress=[{"from": [named]}])
    becomes(network, WEB, DB, "dropped")
    path = f"{CORE}/{cluster.space}"
    cluster.server.request("PATCH", path, {"metadata": {"labels": {"kind": "good"}}}, patch="merge")
    becomes(network, WEB, DB, "open")
    cluster.label("web", app="other")
    becomes(network, WEB, DB, "dropped")
    cluster.label("web", app="web")
    becomes(network, WEB, DB, "open")
    cluster.delete("web")
    becomes(network, WEB, DB, "dropped")


def test_a_pod_is_closed_until_it_is_known(network, cluster, agent):
    agent.wait()
    assert network.tcp(WEB, DB, 80) == "dropped"
    cluster.pod("web", WEB)
    cluster.pod("db", DB)
    becomes(network, WEB, DB, "open")
    assert network.tcp(NEW, DB, 80) == "dropped"
    cluster.policy("closed", podSelector={"matchLabels": {"app": "new"}}, policyTypes=["Egress"])
    cluster.pod("new", NEW, app="new")
    seen = set()
    until(lambda: seen.add(network.tcp(NEW, DB, 80)) or "3 pods" in agent.log.read_text(), 15)
    assert seen | {network.tcp(NEW, DB, 80)} == {"dropped"}


def test_the_ruleset_stays_while_the_api_server_is_away_and_follows_when_it_is_back(network, cluster, agent):
    cluster.pod("web", WEB)
    cluster.pod("db", DB)
    agent.wait()
    becomes(network, WEB, DB, "open")
    cluster.server.pause()
    try:
        until(lambda: "begins anew" in agent.log.read_text(), 15)
        assert network.tcp(WEB, DB, 80) == "open"
    finally:
        cluster.server.resume()
    cluster.policy("closed")
    becomes(network, WEB, DB, "dropped")
    assert agent.process.poll() is None


def test_all_pods_are_closed_before_it_knows_any(network, server, tmp_path):
    server.pause()
    try:
        agent = Agent(network, server, tmp_path)
        until(lambda: "begins anew" in agent.log.read_text(), 30)
        assert network.tcp(WEB, DB, 80) == "dropped"
        assert not agent.ready.exists()
    finally:
        server.resume()
    agent.wait().process.terminate()
    assert agent.process.wait(20) == 0


@pytest.mark.parametrize("agent", [("--resync-seconds", "2")], indirect=True, ids=["2s"])
def test_a_table_that_somebody_removed_comes_back(network, cluster, agent):
    cluster.pod("web", WEB)
    cluster.pod("db", DB)
    cluster.policy("closed")
    agent.wait()
    becomes(network, WEB, DB, "dropped")

    def removed():
        network.on_node("nft", "flush ruleset")
        return network.tcp(WEB, DB, 80) == "open"

    until(removed, 15)  # the agent may be just about to apply it anew
    becomes(network, WEB, DB, "dropped")


def test_sigterm_removes_the_table_and_ends_with_zero(network, agent):
    agent.wait()
    assert "shieldwall_policy" in network.tables()
    agent.process.terminate()
    assert agent.process.wait(20) == 0
    assert network.tables() == ""
    assert not agent.ready.exists()


def test_sigkill_leaves_the_ruleset_and_the_next_agent_takes_it_over(network, server, agent, tmp_path):
    agent.wait()
    agent.process.kill()
    agent.process.wait(20)
    assert "shieldwall_policy" in network.tables()
    (tmp_path / "next").mkdir()
    successor = Agent(network, server, tmp_path / "next").wait()
    successor.process.terminate()
    assert successor.process.wait(20) == 0
    assert network.tables() == ""


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (["--netns", "swp-no-such"], "no network namespace swp-no-such"),
        (["--kubeconfig", "no-such-file"], "no-such-file"),
        (["--pod-cidr", "fd00::/64"], "invalid IPv4Network value: 'fd00::/64'"),
    ],
)
def test_what_cannot_work_is_said_and_ends_with_an_error(network, server, tmp_path, change, words):
    agent = Agent(network, server, tmp_path, *change)
    assert agent.process.wait(30) != 0
    assert words in agent.log.read_text()
    assert "Traceback" not in agent.log.read_text()
    assert network.tables() == ""
