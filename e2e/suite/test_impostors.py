"""Pods in the training's own namespace that wear its labels, and so get past its policies and into its Services.

They hold none of its Secrets: who may make a pod that mounts them needs no trick (docs/threats.md).
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from shieldwall.contract import ports, routes
from shieldwall.control.plan.labels import TRAINING_LABEL

from . import certificates
from .documents import stranger
from .intruders import CODES, COMPONENT, DOORS, PORTS, REQUESTS, WRONG, Place, address, code, federation, pods, right
from .intruders import server as server_address
from .kubectl import eventually

IMPOSTOR = (Path(__file__).parent / "impostor.py").read_text()
OPENS = {"client": ports.FLEET, "aggregator": ports.RUNTIME}
ENOUGH = {ports.FLEET: 6, ports.RUNTIME: 2, ports.STEWARD: 0}
"""Connections to each certificate. The operator may leave a server that is not ready alone."""
ALERTS = {"foreign": "UNKNOWN_CA", "other": "UNKNOWN_CA", "client": "UNSUPPORTED_CERTIFICATE"}
"""What the rogue is told by TLS: nobody knows the issuer, or the leaf is none of a server."""


@pytest.fixture(scope="module")
def rogues(site, kubectl):
    """One for each kind of pod, and a stranger without labels who listens."""
    names = {component: f"rogue-{component}" for component in ("server", "aggregator", "client")}
    kubectl.apply(stranger("stranger", site.images.runtime))
    for component, name in names.items():
        kubectl.apply(stranger(name, site.images.runtime, {TRAINING_LABEL: "digits", COMPONENT: component}))
    for name in ("stranger", *names.values()):
        kubectl("wait", "--for=condition=Ready", f"pod/{name}", "--timeout=90s", seconds=100)
    return {component: Place(kubectl, name) for component, name in names.items()}


@pytest.mark.parametrize("component", OPENS)
def test_a_rogue_with_the_labels_of_a_pod_reaches_what_that_pod_may_and_no_more(rogues, kubectl, component):
    found = pods(kubectl)
    allowed = (server_address(kubectl), OPENS[component])
    wanted = [{"host": address(pod), "port": port} for pod in found for port in PORTS]
    wanted.append(Place(kubectl).listener())
    assert rogues[component].reached(wanted, {"host": allowed[0], "port": allowed[1]}) == [allowed]


@pytest.mark.parametrize("component", OPENS)
@pytest.mark.parametrize("how", WRONG)
def test_a_rogue_in_front_of_the_server_cannot_speak(rogues, kubectl, component, how):
    port, host = OPENS[component], server_address(kubectl)
    known = rogues[component].attempt(host, port, tls=right(kubectl, port), send=REQUESTS[port])
    assert code(known) == CODES[port]
    told = rogues[component].attempt(host, port, tls=how(kubectl, port), send=REQUESTS[port])
    assert told.startswith("refused"), told
    assert rogues[component].attempt(host, port, send=REQUESTS[port]).startswith("refused")


def shown(kubectl):
    """What an impostor may show: a forged server, a client's own leaf, another training's server; and the real one."""
    names = ("digits-server", f"digits-server.{kubectl.namespace}.svc.cluster.local")
    own, other = (certificates.issuer(kubectl, training) for training in ("digits", "other"))
    who = federation(kubectl)
    return {
        "foreign": certificates.leaf(certificates.foreign_issuer(who), who.server(), names),
        "client": certificates.leaf(own, who.client("berlin")),
        "other": certificates.leaf(other, federation(kubectl, "other").server(), names),
        "own": certificates.leaf(own, who.server(), names),
    }


@pytest.fixture(scope="module")
def impostor(rogues, kubectl):
    """What became of the connections that a rogue server got while the real one was away, and it alone was there."""
    place, ip = rogues["server"], address(kubectl.get("pod", "rogue-server"))
    eventually(lambda: ip in endpoints(kubectl), 30)
    peers = {address(pod): pod["metadata"]["labels"][COMPONENT] for pod in pods(kubectl)}
    given = {"certificates": shown(kubectl), "ports": ENOUGH, "address": ip, "seconds": 150}
    kubectl.delete("pod", "digits-server-0", "--wait=false")
    command = ("python3", "-c", IMPOSTOR)
    told = json.loads(kubectl.run(place.pod, place.container, *command, stdin=json.dumps(given), seconds=200))
    kubectl("delete", "pod", "rogue-server")
    return [(peers.get(each["peer"], each["peer"]), each["port"], each["certificate"], each["said"]) for each in told]


def endpoints(kubectl):
    """Addresses behind the server's Service."""
    slices = kubectl.all("endpointslices", "kubernetes.io/service-name=digits-server")
    return {ip for each in slices for endpoint in each["endpoints"] or () for ip in endpoint["addresses"]}


def test_a_rogue_server_that_shows_the_servers_own_certificate_would_be_spoken_with(impostor):
    """So its pod is reached, its program works, and the refusals below are for what it shows."""
    itself = {(port, name): said for who, port, name, said in impostor if who == "127.0.0.1"}
    names = {name for _, name in itself}
    assert itself == dict.fromkeys(((port, name) for port in DOORS for name in names), "GET /itself HTTP/1.1")
    for component, prefix in (("client", routes.FLEET_PREFIX), ("aggregator", routes.RUNTIME_PREFIX)):
        said = [text for who, _, name, text in impostor if (who, name) == (component, "own")]
        assert any(f" {prefix}" in text for text in said), said


@pytest.mark.parametrize(("component", "port"), OPENS.items())
@pytest.mark.parametrize("name", ALERTS)
def test_no_pod_of_the_training_takes_a_rogue_for_its_server(impostor, component, port, name):
    said = [text for who, where, shown, text in impostor if (who, where, shown) == (component, port, name)]
    assert all(text.startswith("refused: ") for text in said), said
    assert sum(ALERTS[name] in text for text in said) >= ENOUGH[port] // 2, said


def test_nobody_at_all_took_a_rogue_for_the_server(impostor):
    spoken = [each for each in impostor if each[0] != "127.0.0.1" and not each[3].startswith("refused")]
    assert {name for _, _, name, _ in spoken} <= {"own"}, spoken


def test_the_training_goes_on_when_the_rogue_has_gone(impostor, kubectl):
    before = kubectl.status("digits")["round"]
    eventually(lambda: kubectl.status("digits")["round"] > before, 240)
