"""The whole server pod: real Envoy, real steward, real SuperLink, and nodes that speak Flower's own protocol.

Through the proxies a node does what a SuperNode does on the wire; the SuperNode itself is started elsewhere.
"""

from __future__ import annotations

import hashlib
import os
import signal
import ssl
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from flwr.proto.fleet_pb2 import ActivateNodeRequest, PullMessagesRequest, PushMessagesRequest
from flwr.proto.heartbeat_pb2 import SendNodeHeartbeatRequest
from flwr.proto.message_pb2 import Message, Metadata
from flwr.proto.node_pb2 import Node
from flwr.supernode.fleet_http_client import FleetHttpClient
from flwr.supernode.node_auth_http_interceptor import NodeAuthHttpInterceptor

from shieldwall.contract import ports, routes
from shieldwall.contract.paths import Paths
from shieldwall.contract.policy import (
    AggregationPolicy,
    AppPolicy,
    ClientPolicy,
    FederationPolicy,
    RoundsPolicy,
    Rule,
    RuntimePolicy,
)
from shieldwall.contract.records import DenyList, OpenRound, Phase, RoundGrant, StewardStatus
from shieldwall.pki.node_key import public_pem
from shieldwall.pki.serials import serial_text
from shieldwall.runtime.flower.predecessor import take_off_line
from shieldwall.runtime.proxy.settings import Settings, Side

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]
CLIENTS = ("berlin", "paris")
SUPERLINK = "import sys; from shieldwall.runtime.flower.superlink import main; raise SystemExit(main(sys.argv[1:]))"
STEWARD = "from shieldwall.runtime.steward.main import main; raise SystemExit(main([]))"


class Pod:
    """The server pod's processes, started and stopped one by one."""

    def __init__(self, lab, make, base):
        self.lab, self.make, self.base, self.ip = lab, make, base, lab.settings.pod_ip
        self.processes = {}
        home = base / "home"
        home.mkdir()
        self.environment = os.environ | {
            "SHIELDWALL_ROOT": str(lab.settings.paths.root),
            "SHIELDWALL_LOOPBACK": self.ip,
            "SHIELDWALL_POD_IP": self.ip,
            "HOME": str(home),
            "FLWR_HOME": str(home),
            "FLWR_TELEMETRY_ENABLED": "0",
            "FLWR_DISABLE_UPDATE_CHECK": "1",
        }

    def start(self, name):
        command = {"steward": [sys.executable, "-c", STEWARD], "superlink": self.superlink()}[name]
        with (self.base / f"{name}.log").open("ab") as log:
            process = subprocess.Popen(command, env=self.environment, stdout=log, stderr=subprocess.STDOUT)
        self.processes[name] = process

    def superlink(self):
        paths = self.lab.settings.paths
        paths.superexec_secret.parent.mkdir(parents=True, exist_ok=True)
        paths.superexec_secret.write_text("5e" * 32)
        return [sys.executable, "-c", SUPERLINK, "--health-server-address", f"{self.ip}:8001"]

    def log(self, name):
        return (self.base / f"{name}.log").read_text()

    def kill(self, name):
        process = self.processes.pop(name)
        process.send_signal(signal.SIGKILL)
        process.wait(20)

    def stop(self):
        for process in self.processes.values():
            process.terminate()
        for process in self.processes.values():
            process.wait(30)

    def get(self, path):
        return httpx.get(f"http://{self.ip}:{ports.METRICS}{path}", trust_env=False)

    def ask(self, port, pair, path, method="GET", model=None):
        body = model.model_dump_json().encode() if model is not None else b""
        return self.lab.ask(port, pair, path, method=method, body=body)


class Client:
    """One client: its proxy, and a node that speaks Flower's Fleet API through it."""

    def __init__(self, settings, key):
        context = ssl.create_default_context(cafile=settings.paths.local_certificate)
        auth = NodeAuthHttpInterceptor(key, key.public_key())
        self.address = f"https://{settings.loopback}:{ports.PROXY}"
        self.fleet = FleetHttpClient(self.address, interceptors=[auth], verify=context)
        self.key, self.private, self.certificate = public_pem(key).encode(), key, settings.paths.local_certificate

    def activate(self):
        return self.fleet.ActivateNode(ActivateNodeRequest(public_key=self.key, heartbeat_interval=60)).node_id

    def beat(self, node_id):
        node = Node(node_id=node_id)
        return self.fleet.SendNodeHeartbeat(SendNodeHeartbeatRequest(node=node, heartbeat_interval=60)).success

    def take_off_line(self, wait):
        return take_off_line(self.address, self.certificate, self.private, wait)

    def pull(self, node_id):
        return self.fleet.PullMessages(PullMessagesRequest(node=Node(node_id=node_id)))

    def push(self, node_id, source):
        message = Message(metadata=Metadata(src_node_id=source))
        return self.fleet.PushMessages(PushMessagesRequest(node=Node(node_id=node_id), messages_list=[message]))


@pytest.fixture(scope="module")
def keys():
    return {name: ec.generate_private_key(ec.SECP256R1()) for name in CLIENTS}


@pytest.fixture(scope="module")
def policy(keys, federations):
    ours = federations[0]
    return RuntimePolicy(
        federation=FederationPolicy(uid="1", trust_domain=ours.trust_domain, namespace=ours.namespace, name=ours.name),
        app=AppPolicy(client_app="digits.client:app"),
        rounds=RoundsPolicy(count=2, min_replies=2, grace_seconds=0),
        aggregation=AggregationPolicy(rule=Rule.FED_AVG),
        clients=tuple(ClientPolicy(name=name, node_public_key=public_pem(key)) for name, key in keys.items()),
    )


@pytest.fixture(scope="module")
def operator(pod, make, federations):
    return make.leaf(pod.lab.issuer, federations[0].operator().uri)


@pytest.fixture(scope="module")
def aggregator(pod, make, federations):
    return make.leaf(pod.lab.issuer, federations[0].aggregator().uri)


@pytest.fixture(scope="module")
def pod(make, policy, tmp_path_factory):
    base = tmp_path_factory.mktemp("pod")
    lab = make.prepare(base, make.address(11))
    lab.settings.paths.policy.parent.mkdir(parents=True)
    lab.settings.paths.policy.write_text(policy.to_json())
    pod = Pod(lab, make, base)
    try:
        with make.running_envoy(Side.SERVER, lab.settings, lab.log):
            pod.start("superlink")
            pod.start("steward")
            yield pod
    finally:
        pod.stop()


@contextmanager
def client_pod(pod, make, name, federations, base):
    ip = make.address(12 + CLIENTS.index(name))
    settings = Settings(federations[0], Paths(base / name), ip, ip, "server", pod.ip)
    make.put_local_certificate(settings.paths, ip)
    pair = make.leaf(pod.lab.issuer, federations[0].client(name).uri)
    make.mount(settings.paths.tls, {"tls.crt": pair.certificate_pem(), "tls.key": pair.key_pem()})
    trusted = {file: (pod.lab.settings.paths.trust / file).read_bytes() for file in ("ca.crt", "ca.crl")}
    make.mount(settings.paths.trust, trusted)
    with make.running_envoy(Side.CLIENT, settings, base / f"{name}.log"):
        yield settings


@pytest.fixture(scope="module")
def proxies(pod, make, federations, tmp_path_factory):
    base = tmp_path_factory.mktemp("clients")
    with (
        client_pod(pod, make, "berlin", federations, base) as berlin,
        client_pod(pod, make, "paris", federations, base) as paris,
    ):
        yield {"berlin": berlin, "paris": paris}


@pytest.fixture
def node(proxies):
    opened = []

    def node(name, key):
        opened.append(Client(proxies[name], key))
        return opened[-1]

    yield node
    for each in opened:
        each.fleet.close()


def status(pod, operator):
    answer = pod.ask(ports.STEWARD, operator, routes.OPERATOR_STATUS)
    return StewardStatus.model_validate_json(answer.body) if answer.status == 200 else None


def node_id(pod, operator, name):
    return next(int(client.node_id) for client in status(pod, operator).clients if client.name == name)


def wait(pod, operator, check):
    def probe():
        found = status(pod, operator)
        return found if found is not None and check(found) else None

    return pod.make.until(probe, 60)


def refusal(call, *arguments):
    with pytest.raises(httpx.HTTPStatusError) as caught:
        call(*arguments)
    return caught.value.response.status_code, caught.value.response.text


def test_nodes_are_registered_and_a_run_starts_when_they_are_online(pod, operator, node, keys):
    found = wait(pod, operator, lambda status: status.phase is Phase.WAITING)
    assert all(client.node_id for client in found.clients)
    for name in CLIENTS:
        one = node(name, keys[name])
        assert str(one.activate()) in {client.node_id for client in found.clients}
    found = wait(pod, operator, lambda status: status.phase is Phase.TRAINING)
    assert (found.runs_started, found.run_id is not None) == (1, True)
    assert [client.online for client in found.clients] == [True, True]
    assert all(client.serial and client.last_seen for client in found.clients)
    assert found.message == "The run waits for the aggregator."


def test_the_successor_of_a_killed_node_takes_it_off_line_and_is_taken(pod, operator, node, keys):
    berlin = node("berlin", keys["berlin"])
    assert refusal(berlin.activate)[0] == 412  # online until two heartbeats are missed
    wait(pod, operator, lambda status: status.clients[0].online)
    assert berlin.take_off_line(pytest.fail)  # no round is open
    wait(pod, operator, lambda status: not status.clients[0].online)
    assert not berlin.take_off_line(pytest.fail)
    assert berlin.beat(node_id(pod, operator, "berlin")), "one that is not dead is online again"
    wait(pod, operator, lambda status: status.clients[0].online)
    assert berlin.take_off_line(pytest.fail)
    assert berlin.activate() == node_id(pod, operator, "berlin")


def test_the_policy_it_runs_with_is_told_by_its_hash(pod, operator):
    file = pod.lab.settings.paths.policy.read_bytes()
    assert status(pod, operator).policy_sha256 == hashlib.sha256(file).hexdigest()


def test_probes_and_metrics_come_through_the_proxy(pod):
    assert pod.get(routes.HEALTH_SUPERLINK).status_code == 200
    assert pod.get(routes.HEALTH_STEWARD).status_code == 200
    assert "shieldwall_runs_started_total 1.0" in pod.get(routes.METRICS_STEWARD).text


def test_refused_handshakes_are_counted(pod, operator, make, federations):
    stranger = make.leaf(pod.lab.other_issuer, federations[0].client("berlin").uri)
    before = status(pod, operator).handshakes
    pod.ask(ports.FLEET, None, "/")
    pod.ask(ports.FLEET, stranger, "/")
    pod.ask(ports.FLEET, operator, "/")
    wait(
        pod,
        operator,
        lambda status: all(
            status.handshakes[key] == before[key] + 1
            for key in ("fleet.no-certificate", "fleet.untrusted", "fleet.wrong-identity")
        ),
    )


def test_a_node_key_with_another_clients_certificate_is_refused(node, keys):
    assert refusal(node("berlin", keys["paris"]).activate) == (401, "shieldwall: wrong-node-key")


def test_a_reply_in_another_nodes_name_is_refused_by_the_gate(pod, operator, node, keys):
    berlin = node("berlin", keys["berlin"])
    mine, theirs = (node_id(pod, operator, name) for name in CLIENTS)
    assert refusal(berlin.push, mine, theirs) == (401, "shieldwall: foreign-source")
    code, text = refusal(berlin.push, mine, mine)  # past the gate; Flower finds nothing it belongs to
    assert "shieldwall" not in text
    assert code != 401


def test_another_nodes_messages_cannot_be_pulled(pod, operator, node, keys):
    code, text = refusal(node("berlin", keys["berlin"]).pull, node_id(pod, operator, "paris"))
    assert (code, "shieldwall" in text) == (401, False)  # Flower's own check


def test_two_identities_in_one_certificate_are_refused_by_the_gate(pod, make, federations):
    ours = federations[0]
    both = make.leaf(pod.lab.issuer, ours.client("berlin").uri, ours.client("paris").uri)
    answer = pod.ask(ports.FLEET, both, "/v1/fleet/pull-messages", method="POST")
    assert (answer.status, answer.body) == (401, b"shieldwall: not-one-identity")


def test_a_denied_client_is_refused_on_its_open_connection_at_once(pod, operator, node, keys, federations):
    berlin, mine = node("berlin", keys["berlin"]), node_id(pod, operator, "berlin")
    deny = DenyList(clients=(federations[0].client("berlin").uri,))
    assert pod.ask(ports.STEWARD, operator, routes.OPERATOR_DENY, "PUT", deny).status == 204
    assert refusal(berlin.beat, mine) == (401, "shieldwall: denied-client")
    assert not berlin.take_off_line(pytest.fail)
    assert pod.ask(ports.STEWARD, operator, routes.OPERATOR_DENY, "PUT", DenyList()).status == 204
    assert berlin.beat(mine)


def test_rounds_open_for_the_signers_of_those_asked(pod, operator, aggregator, make, federations):
    run_id = status(pod, operator).run_id
    facts = {"nonce": "00" * 32, "base_sha256": "ab", "opened": 1.0}
    opened = OpenRound(run_id=run_id, round=1, attempt=1, clients=("berlin",), **facts)
    answer = pod.ask(ports.RUNTIME, aggregator, routes.ROUNDS_OPEN, "POST", opened)
    assert RoundGrant.model_validate_json(answer.body).denied == ()
    assert status(pod, operator).aggregator_serial == serial_text(aggregator.certificate.serial_number)
    for name, expected in (("berlin", 200), ("paris", 404)):
        pair = make.leaf(pod.lab.issuer, federations[0].client(name).uri)
        assert pod.ask(ports.FLEET, pair, routes.SIGNER_OPEN_ROUND).status == expected


def test_while_the_steward_is_gone_clients_are_told_to_try_again(pod, operator, node, keys):
    berlin, mine = node("berlin", keys["berlin"]), node_id(pod, operator, "berlin")
    before = status(pod, operator)
    pod.kill("steward")
    assert refusal(berlin.beat, mine)[0] == 503
    pod.start("steward")
    found = wait(pod, operator, lambda status: status.phase is Phase.TRAINING)
    assert (found.run_id, found.runs_started) == (before.run_id, before.runs_started)
    pod.make.until(lambda: berlin.beat(mine))


@pytest.mark.parametrize(("times", "damage"), [(1, Path.unlink), (2, lambda path: path.write_bytes(b"noise" * 9000))])
def test_a_lost_or_damaged_database_comes_back_with_the_same_nodes(pod, operator, times, damage):
    paths = pod.lab.settings.paths
    before = status(pod, operator)
    pod.make.until(paths.superlink_backup.exists, 30)
    pod.kill("superlink")
    damage(paths.superlink_database)
    wait(pod, operator, lambda status: status.message != before.message)
    pod.start("superlink")
    after = wait(pod, operator, lambda status: status.message == before.message)
    assert pod.log("superlink").count("shieldwall: database: from-backup") == times
    assert [client.node_id for client in after.clients] == [client.node_id for client in before.clients]
    assert (after.run_id, after.runs_started) == (before.run_id, before.runs_started)


def test_a_lost_database_heals_with_new_node_ids_and_a_new_run(pod, operator, node, keys):
    before = status(pod, operator)
    pod.kill("superlink")
    for file in pod.lab.settings.paths.superlink_database.parent.iterdir():
        file.unlink()
    pod.start("superlink")
    found = wait(pod, operator, lambda status: status.phase is Phase.WAITING and all(c.node_id for c in status.clients))
    assert {client.node_id for client in found.clients}.isdisjoint(client.node_id for client in before.clients)
    for name in CLIENTS:
        node(name, keys[name]).activate()
    found = wait(pod, operator, lambda status: status.phase is Phase.TRAINING)
    assert (found.runs_started, found.run_id != before.run_id) == (2, True)
