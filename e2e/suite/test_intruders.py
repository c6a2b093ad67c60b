"""From a pod that is not of the training: what the policies let through, and what mutual TLS refuses without them."""

from __future__ import annotations

import pytest

from shieldwall.contract import ports, routes

from .documents import namespace, stranger
from .intruders import (
    CODES,
    COMPONENT,
    DOORS,
    PORTS,
    REQUESTS,
    WRONG,
    Place,
    address,
    code,
    listening,
    pods,
    right,
    server,
    unexpired,
)
from .kubectl import eventually

METRICS_REQUEST = "GET /stats/prometheus HTTP/1.1\r\nHost: x\r\n\r\n"
OTHER = "intruders-elsewhere"
INSIDERS = {"trainer": ports.FLEET, "aggregator": ports.RUNTIME, "superlink": None, "steward": None}
"""Containers, and the one port of the server that each may reach."""


@pytest.fixture(scope="module")
def town(site, kubectl):
    """Strangers within the namespace of a training that goes on all the while, and without."""
    for name, labels in ((OTHER, {}), (f"{OTHER}-monitoring", {"shieldwall.dev/monitoring": "true"})):
        site.kubectl.apply(namespace(name, labels))
        eventually(lambda name=name: site.kubectl.inside(name).get("serviceaccount", "default"), 30)
    spaces = [kubectl, *(site.kubectl.inside(name) for name in (OTHER, f"{OTHER}-monitoring"))]
    for space in spaces:
        space.apply(stranger("stranger", site.images.runtime))
    for space in spaces:
        space("wait", "--for=condition=Ready", "pod/stranger", "--timeout=90s", seconds=100)
    yield dict(zip(("same", "other", "monitoring"), map(Place, spaces), strict=True))
    for space in spaces[1:]:
        site.kubectl.delete("namespace", space.namespace, "--wait=false")


@pytest.fixture(scope="module")
def outside(site, town):
    """What is no pod of the training: the strangers, the API server's Service, and where that leads."""
    service = site.kubectl.inside("default").get("service", "kubernetes")["spec"]
    slices = site.kubectl.inside("default").all("endpointslices", "kubernetes.io/service-name=kubernetes")
    endpoints = [
        {"host": ip, "port": port["port"]}
        for each in slices
        for endpoint in each["endpoints"]
        for ip in endpoint["addresses"]
        for port in each["ports"]
    ]
    assert endpoints
    return [
        *(place.listener() for place in town.values()),
        {"host": service["clusterIP"], "port": service["ports"][0]["port"]},
        *endpoints,
    ]


def pairs(wanted):
    return [(each["host"], each["port"]) for each in wanted]


def everywhere(found, numbers=PORTS):
    """Attempts at these ports of each pod."""
    return [{"host": address(pod), "port": port} for pod in found for port in numbers]


@pytest.mark.parametrize("where", ["same", "other"])
def test_with_the_policies_a_stranger_reaches_nothing(town, kubectl, where):
    wanted = everywhere(pods(kubectl))
    wanted.append({"host": f"digits-server.{kubectl.namespace}.svc.cluster.local", "port": ports.FLEET})
    assert town[where].reached(wanted, town["monitoring"].listener()) == []


def test_monitoring_reaches_metrics_and_nothing_else(town, kubectl):
    found = pods(kubectl)
    reached = town["monitoring"].reached(everywhere(found), town["other"].listener())
    assert reached == [(address(pod), ports.METRICS) for pod in found]
    asked = [each | {"send": METRICS_REQUEST} for each in everywhere(found, [ports.METRICS])]
    assert town["monitoring"].attempts(asked) == ["HTTP/1.1 200 OK"] * len(found)


@pytest.mark.parametrize("where", ["same", "other", "monitoring"])
def test_strangers_reach_each_other_and_the_api_server(town, outside, where):
    """Else it would say nothing that the training's pods do not."""
    known = next(place for name, place in town.items() if name != where).listener()
    assert town[where].reached(outside, known) == pairs(outside)


def insider(kubectl, container):
    """A pod of the training that has this container, and the others."""
    found = pods(kubectl)
    own = next(pod for pod in found if container in {each["name"] for each in pod["spec"]["containers"]})
    return own, [pod for pod in found if pod is not own]


@pytest.mark.parametrize("container", INSIDERS)
def test_a_pod_of_the_training_reaches_its_own_port_of_the_server_and_nothing_else(town, kubectl, outside, container):
    """From within: trainer and aggregator run code that the operator does not know."""
    own, others = insider(kubectl, container)
    port = INSIDERS[container]
    allowed = (server(kubectl), port) if port else (address(own), ports.METRICS)
    place = Place(kubectl, own["metadata"]["name"], container)
    reached = place.reached([*everywhere(others), *outside], {"host": allowed[0], "port": allowed[1]})
    assert reached == ([allowed] if port else [])


BEYOND = {"server": {*DOORS, ports.METRICS}, "aggregator": {ports.METRICS}, "client": {ports.METRICS}}
WITHIN = {"server": {ports.SUPERLINK}, "aggregator": {ports.PROXY}, "client": {ports.PROXY, ports.SUPERNODE}}


def test_each_pod_listens_where_it_is_meant_to(town, kubectl):
    """By the kernel's tables, which every container of a pod shares."""
    for pod in pods(kubectl):
        component = pod["metadata"]["labels"][COMPONENT]
        beyond, within = listening(kubectl, pod)
        assert beyond == {("tcp", port) for port in BEYOND[component]}, component
        assert within >= {("tcp", port) for port in WITHIN[component]}, component


@pytest.fixture(scope="module")
def open_town(town, kubectl):
    """The same without a single NetworkPolicy: the operator is told to look away, and they are deleted."""
    kubectl("annotate", "ft/digits", "shieldwall.dev/paused=true")
    kubectl("delete", "networkpolicies", "-l", "shieldwall.dev/training=digits")
    ip = server(kubectl)
    eventually(lambda: town["same"].attempt(ip, ports.FLEET) == "open", 30)
    yield town
    kubectl("annotate", "ft/digits", "shieldwall.dev/paused-")
    eventually(lambda: len(kubectl.all("networkpolicies", "shieldwall.dev/training=digits")) == 4, 30)
    eventually(lambda: town["same"].attempt(ip, ports.FLEET) == "closed", 30)


@pytest.mark.parametrize("container", INSIDERS)
def test_without_policies_a_pod_of_the_training_reaches_all_that_is_outside(open_town, kubectl, outside, container):
    """So it is the policies, and nothing else, that keep it from there."""
    own, _ = insider(kubectl, container)
    place = Place(kubectl, own["metadata"]["name"], container)
    assert place.reached(outside, {"host": address(own), "port": ports.METRICS}) == pairs(outside)


def test_without_policies_what_is_on_loopback_stays_there(open_town, kubectl):
    found = pods(kubectl)
    inner = {pod["metadata"]["name"]: {port for _, port in listening(kubectl, pod)[1]} for pod in found}
    wanted = [each for pod in found for each in everywhere([pod], sorted({*PORTS, *inner[pod["metadata"]["name"]]}))]
    meant = {(address(pod), port) for pod in found for port in BEYOND[pod["metadata"]["labels"][COMPONENT]]}
    assert set(open_town["other"].reached(wanted, open_town["monitoring"].listener())) == meant


@pytest.mark.parametrize("port", DOORS)
@pytest.mark.parametrize("how", [right, unexpired])
def test_without_policies_the_right_certificate_is_what_counts(open_town, kubectl, how, port):
    """Else the refusals below would say nothing."""
    told = open_town["other"].attempt(server(kubectl), port, tls=how(kubectl, port), send=REQUESTS[port])
    assert code(told) == CODES[port]


@pytest.mark.parametrize("port", DOORS)
@pytest.mark.parametrize("how", WRONG)
def test_without_policies_mutual_tls_refuses(open_town, kubectl, how, port):
    told = open_town["other"].attempt(server(kubectl), port, tls=how(kubectl, port), send=REQUESTS[port])
    assert told.startswith("refused"), told


@pytest.mark.parametrize("port", DOORS)
def test_without_policies_plain_text_is_refused(open_town, kubectl, port):
    told = open_town["other"].attempt(server(kubectl), port, send=REQUESTS[port])
    assert told.startswith("refused"), told


READABLE = ("/ready", "/stats/prometheus")
READABLE_OF_SERVER = (*READABLE, routes.HEALTH_SUPERLINK, routes.HEALTH_STEWARD, routes.METRICS_STEWARD)
"""What the metrics port answers to whoever can connect."""
BEHIND = """
/ /certs /clusters /config_dump /contention /cpuprofiler /drain_listeners /healthcheck/fail /healthcheck/ok
/heapprofiler /help /hot_restart_version /init_dump /listeners /logging /memory /quitquitquit /reopen_logs
/reset_counters /runtime /runtime_modify /server_info /stats /stats/ /stats/recentlookups
/authz/v1/fleet/pull-messages /health /v1/control/list-runs /v1/fleet/pull-messages /v1/operator/deny
/v1/operator/status /v1/rounds/open /v1/runtime/pull-messages
/ready/../quitquitquit /stats/prometheus/../../config_dump //certs /%71uitquitquit /metrics/ /healthz/
"""
"""Paths of the proxy's admin, of what runs behind the proxy, and ways to spell them."""


@pytest.mark.parametrize("component", BEYOND)
def test_without_policies_the_metrics_port_is_read_by_anybody_and_moves_nothing(open_town, kubectl, component):
    """Plain HTTP and no certificate: what it shows is meant to be shown, and behind it is the proxy's whole admin."""
    readable = READABLE_OF_SERVER if component == "server" else READABLE
    expected = {("GET", path): 200 for path in readable}
    expected |= {(method, path): 403 for method in ("POST", "PUT", "DELETE", "HEAD") for path in readable}
    expected |= {
        (method, path): 403 for method in ("GET", "POST") for path in {*BEHIND.split(), *READABLE_OF_SERVER}
    } | expected
    expected["POST", "/stats%2f..%2fquitquitquit"] = 400
    before = list(map(restarts, pods(kubectl)))
    found = [pod for pod in pods(kubectl) if pod["metadata"]["labels"][COMPONENT] == component]
    for each in everywhere(found, [ports.METRICS]):
        sent = [f"{method} {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n" for method, path in expected]
        told = open_town["other"].attempts([each | {"send": text} for text in sent])
        assert dict(zip(expected, map(code, told), strict=True)) == expected
    assert list(map(restarts, pods(kubectl))) == before


def restarts(pod):
    """Of all containers of a pod."""
    status = pod["status"]
    return sum(each["restartCount"] for each in (*status["initContainerStatuses"], *status["containerStatuses"]))


def test_refused_handshakes_are_counted(open_town, kubectl):
    ip = server(kubectl)
    for port, request in REQUESTS.items():
        assert open_town["other"].attempt(ip, port, send=request).startswith("refused")
    url = f"http://{ip}:{ports.METRICS}{routes.METRICS_STEWARD}"
    read = f"import urllib.request; print(urllib.request.urlopen('{url}').read().decode())"

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
