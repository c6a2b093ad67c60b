"""Who gets through the server pod's listeners, and with what: the real Envoy on loopback."""

# ruff: noqa: PLR0913, PLR0917  # fixtures and parameters of a test are arguments

from __future__ import annotations

import datetime as dt
import socket
import ssl
import urllib.parse

import pytest

from shieldwall.contract import ports, routes
from shieldwall.pki.serials import serial_text
from shieldwall.runtime.steward.certificates import shown

pytestmark = pytest.mark.slow
HOUR = dt.timedelta(hours=1)
LISTENER = {ports.FLEET: "fleet", ports.STEWARD: "steward", ports.RUNTIME: "runtime"}
PULL = "/v1/fleet/pull-messages"


@pytest.fixture(autouse=True)
def fresh(lab, steward):
    lab.superlink.seen.clear()
    steward.seen.clear()
    steward.verdict = 200


@pytest.fixture(scope="module")
def pairs(lab, make, federations):
    ours, theirs = federations
    foreign = make.authority("elsewhere", None, 1)
    berlin = ours.client("berlin").uri
    return {
        "nobody": None,
        "client": make.leaf(lab.issuer, berlin),
        "operator": make.leaf(lab.issuer, ours.operator().uri),
        "aggregator": make.leaf(lab.issuer, ours.aggregator().uri),
        "server": make.leaf(lab.issuer, ours.server().uri, purpose=make.server_auth, dns="server"),
        "server's purpose": make.leaf(lab.issuer, berlin, purpose=make.server_auth),
        "other CA": make.leaf(make.authority("issuer digits", foreign, 0), berlin),
        "other training": make.leaf(lab.other_issuer, theirs.client("berlin").uri),
        "other training, our name": make.leaf(lab.other_issuer, berlin),
        "root's own": make.leaf(lab.root, berlin),
        "expired": make.leaf(lab.issuer, berlin, life=(-2 * HOUR, -HOUR)),
        "not yet valid": make.leaf(lab.issuer, berlin, life=(HOUR, 2 * HOUR)),
        "clientele": make.leaf(lab.issuer, f"{ours.prefix}/clientele/berlin"),
        "longer operator": make.leaf(lab.issuer, f"{ours.operator().uri}/berlin"),
    }


@pytest.mark.parametrize(
    ("port", "who", "cause"),
    [
        (ports.FLEET, "nobody", "fail_verify_no_cert"),
        (ports.FLEET, "other CA", "fail_verify_error"),
        (ports.FLEET, "other training", "fail_verify_error"),
        (ports.FLEET, "other training, our name", "fail_verify_error"),
        (ports.FLEET, "root's own", "fail_verify_error"),
        (ports.FLEET, "expired", "fail_verify_error"),
        (ports.FLEET, "not yet valid", "fail_verify_error"),
        (ports.FLEET, "server's purpose", "fail_verify_error"),
        (ports.FLEET, "server", "fail_verify_error"),
        (ports.FLEET, "operator", "fail_verify_san"),
        (ports.FLEET, "aggregator", "fail_verify_san"),
        (ports.FLEET, "clientele", "fail_verify_san"),
        (ports.STEWARD, "nobody", "fail_verify_no_cert"),
        (ports.STEWARD, "client", "fail_verify_san"),
        (ports.STEWARD, "aggregator", "fail_verify_san"),
        (ports.STEWARD, "longer operator", "fail_verify_san"),
        (ports.STEWARD, "other training", "fail_verify_error"),
        (ports.RUNTIME, "nobody", "fail_verify_no_cert"),
        (ports.RUNTIME, "client", "fail_verify_san"),
        (ports.RUNTIME, "operator", "fail_verify_san"),
        (ports.RUNTIME, "other training, our name", "fail_verify_error"),
    ],
)
def test_refused_in_the_handshake_and_explained_in_the_log(lab, steward, make, pairs, port, who, cause):
    logged, before = len(lab.lines()), handshakes(lab)
    answer = lab.ask(port, pairs[who], PULL)
    make.until(lambda: [line for line in lab.lines()[logged:] if is_refusal(line, LISTENER[port])])
    counted = f"listener.{LISTENER[port]}.ssl.{cause}"
    assert answer.status == 0
    assert lab.superlink.seen == steward.seen == []
    assert handshakes(lab) == before | {counted: before[counted] + 1}


def is_refusal(line, listener, reason="CERTIFICATE"):
    return (line["kind"], line["listener"]) == ("connection", listener) and reason in line["tls"]


def test_plain_text_is_refused_and_explained(lab, make):
    logged, before = len(lab.lines()), handshakes(lab)
    with socket.create_connection((lab.settings.pod_ip, ports.FLEET), timeout=20) as plain:
        plain.sendall(f"POST {PULL} HTTP/1.1\r\nHost: server\r\nContent-Length: 0\r\n\r\n".encode())
        assert plain.recv(1000) == b""
    make.until(lambda: [line for line in lab.lines()[logged:] if is_refusal(line, "fleet", "HTTP_REQUEST")])
    counted = "listener.fleet.ssl.connection_error"
    assert handshakes(lab)[counted] == before[counted] + 1
    assert lab.superlink.seen == []


def test_nothing_older_than_tls_1_3(lab, pairs):
    context = lab.context(pairs["client"])
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    with (
        socket.create_connection((lab.settings.pod_ip, ports.FLEET), timeout=20) as plain,
        pytest.raises(ssl.SSLError),
    ):
        context.wrap_socket(plain, server_hostname="server")


def test_no_session_is_resumed_because_a_resumed_one_would_skip_the_crl(lab, pairs):
    context, session = lab.context(pairs["client"]), None
    for _ in range(2):
        plain = socket.create_connection((lab.settings.pod_ip, ports.FLEET), timeout=20)
        with context.wrap_socket(plain, server_hostname="server", session=session) as connection:
            connection.sendall(b"GET / HTTP/1.1\r\nHost: server\r\n\r\n")
            assert connection.recv(100).startswith(b"HTTP/1.1 403")
            assert not connection.session_reused
            session = connection.session
            assert session is None or not session.has_ticket


def test_each_role_reaches_what_it_is_for(lab, steward, pairs):
    assert lab.ask(ports.FLEET, pairs["client"], PULL).status == 200
    assert lab.ask(ports.FLEET, pairs["client"], routes.SIGNER_OPEN_ROUND, method="GET").status == 200
    assert lab.ask(ports.RUNTIME, pairs["aggregator"], "/v1/runtime/anything").status == 200
    assert lab.ask(ports.RUNTIME, pairs["aggregator"], routes.ROUNDS_OPEN).status == 200
    assert lab.ask(ports.STEWARD, pairs["operator"], routes.OPERATOR_STATUS, method="GET").status == 200
    assert lab.superlink.paths() == [PULL, "/v1/runtime/anything"]
    assert [path for path in steward.paths() if not path.startswith("/authz")] == [
        routes.SIGNER_OPEN_ROUND,
        routes.ROUNDS_OPEN,
        routes.OPERATOR_STATUS,
    ]


@pytest.mark.parametrize(
    ("port", "who", "path"),
    [
        (ports.FLEET, "client", routes.ROUNDS_OPEN),
        (ports.FLEET, "client", routes.OPERATOR_DENY),
        (ports.FLEET, "client", "/v1/runtime/pull-messages"),
        (ports.FLEET, "client", "/v1/fleet/register-node"),
        (ports.FLEET, "client", "/authz/v1/fleet/pull-messages"),
        (ports.FLEET, "client", routes.METRICS_STEWARD),
        (ports.RUNTIME, "aggregator", routes.OPERATOR_DENY),
        (ports.RUNTIME, "aggregator", routes.SIGNER_OPEN_ROUND),
        (ports.RUNTIME, "aggregator", PULL),
        (ports.STEWARD, "operator", routes.ROUNDS_CLOSE),
        (ports.STEWARD, "operator", PULL),
    ],
)
def test_a_role_does_not_reach_what_is_for_another(lab, steward, pairs, port, who, path):
    assert lab.ask(port, pairs[who], path).status == 403
    assert lab.superlink.seen == steward.seen == []


TRICKS = [
    "/v1/control/start-run",
    "//v1/control/start-run",
    "/v1//control/start-run",
    "/V1/Control/start-run",
    "/v1/CONTROL/start-run",
    "/v1/control;x=y/start-run",
    "/v1/{own}/../control/start-run",
    "/v1/{own}/%2e%2e/control/start-run",
    "/v1/{own}/%2E%2E/control/start-run",
    "/v1/{own}/.%2e/control/start-run",
    "/v1/{own}/%252e%252e/control/start-run",
    "/v1/{own}/..;/control/start-run",
    "/v1/{own}/..%2fcontrol/start-run",
    "/v1/{own}/..%5ccontrol/start-run",
    "/v1/{own}/..\\control\\start-run",
    "/v1/{own}%2f..%2fcontrol/start-run",
    "/v1/./control/start-run",
    "/v1/%63ontrol/start-run",
    "/%76%31/control/start-run",
    "/v1/control%2fstart-run",
    "/v1/control/start-run?/v1/{own}/",
    "/v1/control/start-run#/v1/{own}/",
    "http://server/v1/control/start-run",
    "/v1/{own}/x/../../../v1/control/start-run",
]


@pytest.mark.parametrize("trick", TRICKS)
@pytest.mark.parametrize(
    ("port", "who", "own"),
    [
        (ports.FLEET, "client", "fleet"),
        (ports.STEWARD, "operator", "operator"),
        (ports.RUNTIME, "aggregator", "runtime"),
    ],
)
def test_no_path_leads_to_the_control_api(lab, steward, pairs, port, who, own, trick):
    answer = lab.ask(port, pairs[who], trick.format(own=own))
    assert not [path for path in lab.superlink.paths() if port != ports.RUNTIME or is_control(path)]
    assert not [path for path in steward.paths() if is_control(path)]
    assert answer.status in {400, 403, 307} or (answer.status == 200 and port != ports.FLEET)


def is_control(path):
    """What Starlette would take for another route: it unescapes once and never resolves dots."""
    seen = urllib.parse.unquote(path.partition("?")[0])
    return "/../" in seen or not seen.startswith(("/v1/runtime/", "/v1/operator/"))


@pytest.mark.parametrize(
    "trick",
    [
        "/v1/fleet/push%2Dmessages",
        "/v1/fleet/push-message%73",
        "/v1/fleet/./push-messages/",
        "/v1/fleet/push-messages;a",
    ],
)
def test_push_messages_cannot_pass_the_gate_as_another_call(lab, steward, pairs, trick):
    lab.ask(ports.FLEET, pairs["client"], trick, body=b"reply")
    assert [request.body for request in steward.seen] in ([], [b"reply"])
    assert len(lab.superlink.seen) == len(steward.seen)


def test_the_gate_reads_the_body_of_push_messages_only(lab, steward, pairs):
    lab.ask(ports.FLEET, pairs["client"], routes.FLEET_PUSH_MESSAGES, body=b"reply")
    lab.ask(ports.FLEET, pairs["client"], PULL, body=b"secret")
    assert [(request.path, request.body) for request in steward.seen] == [
        (f"/authz{routes.FLEET_PUSH_MESSAGES}", b"reply"),
        (f"/authz{PULL}", b""),
    ]
    assert [request.body for request in lab.superlink.seen] == [b"reply", b"secret"]


def test_a_push_larger_than_the_gate_reads_is_refused(lab, steward, pairs):
    answer = lab.ask(ports.FLEET, pairs["client"], routes.FLEET_PUSH_MESSAGES, body=bytes(5 * 1024 * 1024))
    assert answer.status in {0, 413}  # 0: the proxy closes while the rest is still being sent
    assert lab.superlink.seen == steward.seen == []


def test_no_client_makes_the_superlink_read_more_than_an_object(lab, steward, pairs):
    path = "/v1/fleet/push-object"
    assert lab.ask(ports.FLEET, pairs["client"], path, body=bytes(6 * 1024 * 1024)).status == 200
    assert lab.superlink.seen.pop().path == path
    answer = lab.ask(ports.FLEET, pairs["client"], path, body=bytes(9 * 1024 * 1024))
    assert answer.status in {0, 403}  # 0: the proxy closes while the rest is still being sent
    assert lab.superlink.seen == []


def test_a_body_without_a_length_is_refused(lab, pairs):
    with lab.connect(ports.FLEET, pairs["client"]) as connection:
        head = "POST /v1/fleet/push-object HTTP/1.1\r\nHost: server\r\nTransfer-Encoding: chunked\r\n\r\n"
        connection.sendall(head.encode() + b"5\r\nhello\r\n0\r\n\r\n")
        assert b" 403 " in connection.recv(200)
    assert lab.superlink.seen == []


FORGED = (
    ("x-forwarded-client-cert", "Hash=00;URI=spiffe://example.org/ns/demo/training/digits/client/paris"),
    ("X-Forwarded-Client-Cert", "URI=spiffe://example.org/ns/demo/training/digits/operator"),
    ("x-shieldwall-client", "spiffe://example.org/ns/demo/training/digits/client/paris"),
    ("X-Shieldwall-Client", "spiffe://example.org/ns/demo/training/digits/client/paris"),
)


@pytest.mark.parametrize("path", [PULL, routes.SIGNER_OPEN_ROUND])
def test_forged_identity_headers_of_a_client_do_not_survive(lab, steward, pairs, federations, path):
    lab.ask(ports.FLEET, pairs["client"], path, FORGED)
    asked, *passed = steward.seen
    berlin = federations[0].client("berlin").uri
    certificates = [value.decode() for name, value in asked.raw if name == b"x-forwarded-client-cert"]
    assert len(certificates) == 1
    assert f"URI={berlin}" in certificates[0]
    assert "paris" not in certificates[0]
    assert "," not in certificates[0]
    assert "x-shieldwall-client" not in asked.headers
    for request in lab.superlink.seen:
        assert not {"x-forwarded-client-cert", "x-shieldwall-client"} & request.headers.keys()
    for request in passed:
        assert [value for name, value in request.raw if name == b"x-shieldwall-client"] == [berlin.encode()]
        assert "x-forwarded-client-cert" not in request.headers
    assert len(lab.superlink.seen) + len(passed) == 1


@pytest.mark.parametrize(
    ("port", "who", "path"),
    [
        (ports.RUNTIME, "aggregator", "/v1/runtime/x"),
        (ports.STEWARD, "operator", routes.OPERATOR_STATUS),
    ],
)
def test_forged_identity_headers_of_others_do_not_survive(lab, steward, pairs, port, who, path):
    assert lab.ask(port, pairs[who], path, FORGED).status == 200
    (request,) = lab.superlink.seen + steward.seen
    assert not {"x-forwarded-client-cert", "x-shieldwall-client"} & request.headers.keys()


def test_the_steward_sees_the_aggregators_own_certificate_and_no_forged_one(lab, steward, pairs, federations):
    assert lab.ask(ports.RUNTIME, pairs["aggregator"], routes.ROUNDS_OPEN, FORGED).status == 200
    (request,) = steward.seen
    (header,) = [(name, value) for name, value in request.raw if name == b"x-forwarded-client-cert"]
    certificate = shown([header])
    assert certificate.uris == (federations[0].aggregator().uri,)
    assert certificate.serial == serial_text(pairs["aggregator"].certificate.serial_number)
    assert "x-shieldwall-client" not in request.headers


@pytest.mark.parametrize(
    "header",
    [
        ("x_shieldwall_client", "paris"),
        ("flwr_public_key", "x"),
        ("Transfer-Encoding", "chunked"),  # together with Content-Length: a smuggled second request
    ],
)
def test_what_could_be_read_in_two_ways_is_refused(lab, steward, pairs, header):
    answer = lab.ask(ports.FLEET, pairs["client"], PULL, (header,), body=b"0\r\n\r\n")
    assert answer.status == 400
    assert lab.superlink.seen == steward.seen == []


def test_http_2_is_not_spoken(lab, pairs):
    context = lab.context(pairs["client"])
    context.set_alpn_protocols(["h2"])
    plain = socket.create_connection((lab.settings.pod_ip, ports.FLEET), timeout=20)
    with context.wrap_socket(plain, server_hostname="server") as connection:
        assert connection.selected_alpn_protocol() is None
        connection.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(9))
        assert not connection.recv(100).startswith(b"\x00")
    assert lab.superlink.seen == []


@pytest.mark.parametrize(("verdict", "status"), [(200, 200), (401, 401), (500, 503), (503, 503)])
def test_the_gates_verdict_holds_and_its_failure_is_retryable(lab, steward, pairs, verdict, status):
    steward.verdict = verdict
    assert lab.ask(ports.FLEET, pairs["client"], PULL).status == status
    assert len(lab.superlink.seen) == (verdict == 200)


def test_a_revoked_certificate_is_refused_as_soon_as_the_list_is_mounted(lab, make, federations):
    berlin, paris = (make.leaf(lab.issuer, federations[0].client(name).uri) for name in ("berlin", "paris"))
    assert lab.ask(ports.FLEET, berlin, PULL).status == 200
    lab.trust(make.revocation_list(lab.issuer, berlin))
    make.until(lambda: lab.ask(ports.FLEET, berlin, PULL).status == 0)
    make.until(lambda: any("certificate_revoked" in str(line.get("tls")) for line in lab.lines()))
    assert lab.ask(ports.FLEET, paris, PULL).status == 200
    lab.trust(make.revocation_list(lab.issuer))
    make.until(lambda: lab.ask(ports.FLEET, berlin, PULL).status == 200)


def test_an_expired_list_refuses_everybody(lab, make, pairs):
    lab.trust(make.revocation_list(lab.issuer, ends=-HOUR))
    make.until(lambda: lab.ask(ports.FLEET, pairs["client"], PULL).status == 0)
    lab.trust(make.revocation_list(lab.issuer))
    make.until(lambda: lab.ask(ports.FLEET, pairs["client"], PULL).status == 200)


def test_a_renewed_leaf_is_served_without_a_restart(lab, make, pairs, federations):
    renewed = lab.show(federations[0].server().uri).certificate.serial_number

    def served():
        with lab.connect(ports.FLEET, pairs["client"]) as connection:
            return int(connection.getpeercert()["serialNumber"], 16)

    make.until(lambda: served() == renewed)


def test_refused_requests_are_logged_with_who_asked(lab, pairs, federations):
    lab.ask(ports.FLEET, pairs["client"], "/v1/control/who-asked")
    line = lab.wait_for_line(path="/v1/control/who-asked")
    assert (line["kind"], line["listener"], line["code"], line["method"]) == ("request", "fleet", 403, "POST")
    assert line["san"] == federations[0].client("berlin").uri
    assert line["serial"] == f"{pairs['client'].certificate.serial_number:040x}"


@pytest.mark.parametrize(
    ("path", "status", "method"),
    [
        ("/ready", 200, "GET"),
        ("/stats/prometheus", 200, "GET"),
        ("/healthz/steward", 200, "GET"),
        ("/healthz/superlink", 200, "GET"),
        ("/metrics", 200, "GET"),
        ("/ready", 403, "POST"),
        ("/quitquitquit", 403, "POST"),
        ("/config_dump", 403, "GET"),
        ("/stats/prometheus/../../config_dump", 403, "GET"),
        ("/v1/control/list-runs", 403, "POST"),
        ("/v1/operator/status", 403, "GET"),
        ("/healthz/superlink/../v1/control/list-runs", 403, "GET"),
    ],
)
def test_the_metrics_listener_shows_nothing_else(lab, path, status, method):
    request = f"{method} {path} HTTP/1.1\r\nHost: server\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    with socket.create_connection((lab.settings.pod_ip, ports.METRICS), timeout=20) as plain:
        plain.sendall(request.encode())
        assert plain.recv(100).startswith(f"HTTP/1.1 {status}".encode())
    assert set(lab.superlink.paths()) <= {"/health"}


def test_the_admin_socket_is_the_proxys_own(lab):
    assert lab.settings.paths.admin_socket.stat().st_mode & 0o777 == 0o600


def handshakes(lab):
    statistics = lab.admin("/stats?format=json&filter=^listener\\..*\\.ssl\\.(fail_|connection_error)").json()["stats"]
    return {each["name"]: each["value"] for each in statistics}
