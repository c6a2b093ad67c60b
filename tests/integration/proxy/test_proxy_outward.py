"""The proxies of client and aggregator pods, with the server's proxy behind them: all real Envoys on loopback."""

# ruff: noqa: PLR0913, PLR0917  # fixtures and parameters of a test are arguments

from __future__ import annotations

import dataclasses
import http.client
import socket
import ssl

import pytest
from cryptography import x509

from shieldwall.contract import ports, routes
from shieldwall.contract.paths import Paths
from shieldwall.runtime.proxy.settings import Settings, Side

pytestmark = pytest.mark.slow
PULL = "/v1/fleet/pull-messages"


@dataclasses.dataclass
class Outward:
    """A pod with a way out."""

    settings: Settings
    log: object

    def ask(self, path):
        context = ssl.create_default_context(cafile=self.settings.paths.local_certificate)
        connection = http.client.HTTPSConnection(self.settings.loopback, ports.PROXY, timeout=30, context=context)
        try:
            connection.request("POST", path, b"body")
            response = connection.getresponse()
            return response.status, response.read()
        finally:
            connection.close()


def outward(lab, make, base, side, pair, ip):
    settings = Settings(lab.settings.federation, Paths(base / side), ip, ip, "digits-server", lab.settings.pod_ip)
    make.put_local_certificate(settings.paths, ip)
    make.mount(settings.paths.tls, {"tls.crt": pair.certificate_pem(), "tls.key": pair.key_pem()})
    trusted = {name: (lab.settings.paths.trust / name).read_bytes() for name in ("ca.crt", "ca.crl")}
    make.mount(settings.paths.trust, trusted)
    return Outward(settings, base / f"{side}.log")


@pytest.fixture(scope="module")
def client(lab, make, federations, tmp_path_factory):
    pair = make.leaf(lab.issuer, federations[0].client("berlin").uri)
    pod = outward(lab, make, tmp_path_factory.mktemp("client"), Side.CLIENT, pair, make.address(2))
    with make.running_envoy(Side.CLIENT, pod.settings, pod.log):
        yield pod


@pytest.fixture(scope="module")
def aggregator(lab, make, federations, tmp_path_factory):
    pair = make.leaf(lab.issuer, federations[0].aggregator().uri)
    pod = outward(lab, make, tmp_path_factory.mktemp("aggregator"), Side.AGGREGATOR, pair, make.address(3))
    with make.running_envoy(Side.AGGREGATOR, pod.settings, pod.log):
        yield pod


@pytest.fixture(autouse=True)
def fresh(lab, steward, federations):
    lab.superlink.seen.clear()
    steward.seen.clear()
    yield
    lab.show(federations[0].server().uri)


def test_a_client_reaches_the_server_under_its_own_identity(lab, steward, client, federations):
    assert client.ask(PULL) == (200, b"reached")
    assert client.ask(routes.SIGNER_OPEN_ROUND) == (200, b"reached")
    (request,) = lab.superlink.seen
    assert (request.path, request.body, request.headers["host"]) == (PULL, b"body", "digits-server")
    assert steward.seen[-1].headers["x-shieldwall-client"] == federations[0].client("berlin").uri


def test_the_aggregator_reaches_the_server(lab, steward, aggregator):
    assert aggregator.ask("/v1/runtime/claim") == (200, b"reached")
    assert aggregator.ask(routes.ROUNDS_OPEN) == (200, b"reached")
    assert lab.superlink.paths() + steward.paths() == ["/v1/runtime/claim", routes.ROUNDS_OPEN]


@pytest.mark.parametrize("path", ["/v1/control/start-run", "/v1/runtime/claim", routes.ROUNDS_OPEN, "/", "/metrics"])
def test_a_client_pod_lets_nothing_else_out(lab, steward, client, path):
    assert client.ask(path)[0] == 403
    assert lab.superlink.seen == steward.seen == []


@pytest.mark.parametrize("path", ["/v1/control/start-run", PULL, routes.SIGNER_OPEN_ROUND, routes.OPERATOR_DENY])
def test_the_aggregator_pod_lets_nothing_else_out(lab, steward, aggregator, path):
    assert aggregator.ask(path)[0] == 403
    assert lab.superlink.seen == steward.seen == []


@pytest.mark.parametrize("impostor", ["aggregator", "other training", "foreign", "revoked"])
def test_a_client_speaks_with_no_other_server(lab, make, federations, tmp_path, impostor):
    ours, theirs = federations
    name = ours.aggregator().uri if impostor == "aggregator" else ours.server().uri
    issuer = {"other training": lab.other_issuer, "foreign": make.authority("issuer digits", None, 0)}.get(impostor)
    shown = lab.show(theirs.server().uri if impostor == "other training" else name, issuer)
    berlin = make.leaf(lab.issuer, ours.client("berlin").uri)
    anybody = lab.context(berlin)
    anybody.verify_mode = ssl.CERT_NONE  # the tests' own client does not know the foreign CA either

    def served():
        plain = socket.create_connection((lab.settings.pod_ip, ports.FLEET), timeout=20)
        with anybody.wrap_socket(plain, server_hostname="server") as connection:
            return x509.load_der_x509_certificate(connection.getpeercert(binary_form=True)).serial_number

    make.until(lambda: served() == shown.certificate.serial_number)
    pod = outward(lab, make, tmp_path, Side.CLIENT, berlin, make.address(4))
    if impostor == "revoked":
        crl = make.revocation_list(lab.issuer, shown)
        make.mount(pod.settings.paths.trust, {"ca.crt": lab.issuer.certificate_pem(), "ca.crl": crl})
    with make.running_envoy(Side.CLIENT, pod.settings, pod.log):
        make.until(lambda: pod.ask(PULL)[0] == 503)
        make.until(lambda: "CERTIFICATE_VERIFY_FAILED" in pod.log.read_text())
        lab.superlink.seen.clear()
        assert pod.ask(PULL)[0] == 503
    assert lab.superlink.seen == []
