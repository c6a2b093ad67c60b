"""From a pod that is not of the training: what the policies let through, and what mutual TLS refuses without them."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

import pytest

from shieldwall.contract.identity import Federation

from . import certificates
from .documents import digits, namespace, stranger
from .kubectl import eventually

PROBE = (Path(__file__).parent / "probe.py").read_text()
FLEET, STEWARD, RUNTIME, METRICS = 9443, 9444, 9445, 9901
SUPERLINK, SUPERNODE, LOCAL_PROXY, SUPERLINK_HEALTH = 8000, 9094, 8443, 8001
REQUESTS = {
    FLEET: "POST /v1/fleet/pull-messages HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n",
    STEWARD: "GET /v1/operator/status HTTP/1.1\r\nHost: x\r\n\r\n",
    RUNTIME: "POST /v1/rounds/open HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n",
}
METRICS_REQUEST = "GET /stats/prometheus HTTP/1.1\r\nHost: x\r\n\r\n"
OTHER = "intruders-elsewhere"


@pytest.fixture(scope="module")
def town(site, kubectl):
    """A training that goes on all the while, another beside it, and strangers within and without."""
    kubectl.apply(digits(site.images.digits, 3, 500))
    kubectl.apply(digits(site.images.digits, 3, 1, name="other", suspend=True))
    for name, labels in ((OTHER, {}), (f"{OTHER}-monitoring", {"shieldwall.dev/monitoring": "true"})):
        site.kubectl.apply(namespace(name, labels))
        eventually(lambda name=name: site.kubectl.inside(name).get("serviceaccount", "default"), 30)
    places = [kubectl, *(site.kubectl.inside(name) for name in (OTHER, f"{OTHER}-monitoring"))]
    for place in places:
        place.apply(stranger("stranger", site.images.runtime))
    for place in places:
        place("wait", "--for=condition=Ready", "pod/stranger", "--timeout=90s", seconds=100)
    eventually(lambda: kubectl.status("digits").get("round", 0) >= 1, 180)
    yield dict(zip(("same", "other", "monitoring"), places, strict=True))
    for place in places[1:]:
        site.kubectl.delete("namespace", place.namespace, "--wait=false")


def addresses(kubectl):
    """Pods of the training by name."""
    pods = kubectl.all("pods", "shieldwall.dev/training=digits")
    return {pod["metadata"]["name"]: pod["status"]["podIP"] for pod in pods}


def attempts(place, wanted):
    """What the stranger of ``place`` is told, one answer for each attempt."""
    given = f"ATTEMPTS={json.dumps(wanted)}"
    return json.loads(place.run("stranger", "python", "env", given, "python3", "-", stdin=PROBE, seconds=120))


def server(kubectl):
    return next(ip for name, ip in addresses(kubectl).items() if name == "digits-server-0")


PORTS = (FLEET, STEWARD, RUNTIME, METRICS, SUPERLINK, SUPERLINK_HEALTH, SUPERNODE, LOCAL_PROXY)


@pytest.mark.parametrize("where", ["same", "other"])
def test_with_the_policies_a_stranger_reaches_nothing(town, kubectl, where):
    pods = addresses(kubectl)
    assert len(pods) == 5
    wanted = [{"host": ip, "port": port} for ip in pods.values() for port in PORTS]
    wanted.append({"host": f"digits-server.{kubectl.namespace}.svc.cluster.local", "port": FLEET})
    assert set(attempts(town[where], wanted)) == {"closed"}


def test_monitoring_reaches_metrics_and_nothing_else(town, kubectl):
    for ip in addresses(kubectl).values():
        wanted = [{"host": ip, "port": port} for port in PORTS if port != METRICS]
        assert set(attempts(town["monitoring"], wanted)) == {"closed"}
        asked = {"host": ip, "port": METRICS, "send": METRICS_REQUEST}
        assert attempts(town["monitoring"], [asked]) == ["HTTP/1.1 200 OK"]


def test_a_client_pod_reaches_its_server_and_nobody_else(town, kubectl):
    """From within the training: one client's trainer, which runs code that the operator does not know."""
    pods = addresses(kubectl)
    own = next(name for name in pods if name.startswith("digits-client-berlin"))
    others = [ip for name, ip in pods.items() if name != own]
    wanted = [{"host": ip, "port": port} for ip in others for port in PORTS]
    wanted += [{"host": "10.96.0.1", "port": 443}, {"host": "1.1.1.1", "port": 443}]
    given = f"ATTEMPTS={json.dumps(wanted)}"
    told = json.loads(kubectl.run(own, "trainer", "env", given, "python3", "-", stdin=PROBE, seconds=240))
    reached = [each for each, answer in zip(wanted, told, strict=True) if answer != "closed"]
    assert reached == [{"host": server(kubectl), "port": FLEET}]


@pytest.fixture(scope="module")
def open_town(town, kubectl):
    """The same without a single NetworkPolicy: the operator is told to look away, and they are deleted."""
    kubectl("annotate", "ft/digits", "shieldwall.dev/paused=true")
    kubectl("delete", "networkpolicies", "-l", "shieldwall.dev/training=digits")
    ip = server(kubectl)
    eventually(lambda: attempts(town["same"], [{"host": ip, "port": FLEET}]) == ["open"], 30)
    yield town
    kubectl("annotate", "ft/digits", "shieldwall.dev/paused-")
    eventually(lambda: len(kubectl.all("networkpolicies", "shieldwall.dev/training=digits")) == 4, 30)
    eventually(lambda: attempts(town["same"], [{"host": ip, "port": FLEET}]) == ["closed"], 30)


def federation(kubectl, training="digits"):
    return Federation("cluster.local", kubectl.namespace, training)


ROLES = {FLEET: lambda who: who.client("berlin"), STEWARD: Federation.operator, RUNTIME: Federation.aggregator}


@pytest.mark.parametrize("port", REQUESTS)
def test_without_policies_the_right_certificate_is_what_counts(open_town, kubectl, port):
    """Else the refusals below would say nothing."""
    own = certificates.leaf(certificates.issuer(kubectl, "digits"), ROLES[port](federation(kubectl)))
    told = attempts(open_town["other"], [{"host": server(kubectl), "port": port, "tls": own, "send": REQUESTS[port]}])
    assert told[0].startswith("HTTP/1.1 "), told


def no_certificate(_kubectl, _port):
    return ""


def foreign_authority(kubectl, port):
    who = federation(kubectl)
    return certificates.leaf(certificates.foreign_issuer(who), ROLES[port](who))


def expired(kubectl, port):
    authority = certificates.issuer(kubectl, "digits")
    return certificates.expired_leaf(authority, ROLES[port](federation(kubectl)), timedelta(days=2))


def another_training(kubectl, port):
    return certificates.leaf(certificates.issuer(kubectl, "other"), ROLES[port](federation(kubectl, "other")))


def another_role(kubectl, port):
    who = federation(kubectl)
    role = who.aggregator() if port != RUNTIME else who.client("berlin")
    return certificates.leaf(certificates.issuer(kubectl, "digits"), role)


@pytest.mark.parametrize("port", REQUESTS)
@pytest.mark.parametrize("how", [no_certificate, foreign_authority, expired, another_training, another_role])
def test_without_policies_mutual_tls_refuses(open_town, kubectl, how, port):
    own = how(kubectl, port)
    told = attempts(open_town["other"], [{"host": server(kubectl), "port": port, "tls": own, "send": REQUESTS[port]}])
    assert told[0].startswith("refused"), told


@pytest.mark.parametrize("port", REQUESTS)
def test_without_policies_plain_text_is_refused(open_town, kubectl, port):
    told = attempts(open_town["other"], [{"host": server(kubectl), "port": port, "send": REQUESTS[port]}])
    assert told[0].startswith("refused"), told


def test_without_policies_what_is_on_loopback_stays_there(open_town, kubectl):
    inner = (SUPERLINK, SUPERLINK_HEALTH, SUPERNODE, LOCAL_PROXY)
    wanted = [{"host": ip, "port": port} for ip in addresses(kubectl).values() for port in inner]
    assert set(attempts(open_town["other"], wanted)) == {"closed"}


def test_refused_handshakes_are_counted(open_town, kubectl):
    ip = server(kubectl)
    for port, request in REQUESTS.items():
        assert attempts(open_town["other"], [{"host": ip, "port": port, "send": request}])[0].startswith("refused")
    read = f"import urllib.request; print(urllib.request.urlopen('http://{ip}:{METRICS}/metrics').read().decode())"

    def listeners():
        lines = kubectl.run("digits-server-0", "steward", "python3", "-c", read).splitlines()
        counted = [line for line in lines if line.startswith("shieldwall_handshake_failures_total{")]
        return {
            name
            for name in ("fleet", "steward", "runtime")
            if any(f'listener="{name}"' in line and float(line.rsplit(" ", 1)[1]) > 0 for line in counted)
        }

    eventually(lambda: listeners() == {"fleet", "steward", "runtime"}, 60)


def test_the_training_went_on_all_the_while(open_town, kubectl):
    before = kubectl.status("digits")["round"]
    eventually(lambda: kubectl.status("digits")["round"] > before, 60)
