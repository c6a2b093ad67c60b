"""The steward's API over real TLS, against a server of the standard library."""

import contextlib
import dataclasses
import datetime as dt
import http.server
import ssl
import threading

import pytest

from shieldwall.contract import ports, routes
from shieldwall.contract.identity import Federation
from shieldwall.control.plan.orders import AuthorityOrder, CertificateOrder, Plan
from shieldwall.local.desk import Desk, Randomness, Shelves
from shieldwall.local.steward_api import (
    StewardUnreachableError,
    Whereabouts,
    WrongServerError,
    steward_api,
    tls_context,
)

NAME = "digits-server.fed.svc"
DAY = dt.timedelta(hours=24)


@pytest.fixture
def now():
    return dt.datetime.now(dt.UTC)  # TLS goes by the clock


def desk_of(directory, federation, now):
    desk = Desk(Shelves(directory), federation, DAY, Randomness())
    leaves = (CertificateOrder("server", federation.server(), (NAME,), DAY, "Missing"),)
    desk.fill(Plan(AuthorityOrder("ca"), leaves, (), (), ()), now)
    return desk


@pytest.fixture
def desk(tmp_path, federation, now):
    return desk_of(tmp_path / "own", federation, now)


@contextlib.contextmanager
def serving(leaf, trust, answers, monkeypatch):
    """A server with the leaf in directory ``leaf``, which asks for a certificate that chains to ``trust``."""

    class Answer(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            text = answers.get(self.path)
            self.send_response(404 if text is None else 200)
            self.end_headers()
            self.wfile.write((text or "").encode())

        def log_message(self, *_):
            pass

    class Server(http.server.ThreadingHTTPServer):
        def handle_error(self, *_):
            pass  # refused handshakes are what is tested

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(leaf / "tls.crt", leaf / "tls.key")
    context.load_verify_locations(trust / "ca.crt")
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    context.verify_mode = ssl.CERT_REQUIRED
    server = Server(("127.0.0.1", 0), Answer)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    monkeypatch.setattr(ports, "STEWARD", server.server_port)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def where(federation):
    return Whereabouts("127.0.0.1", NAME, federation.server())


async def test_status_and_records_are_read(make, desk, now, where, monkeypatch):
    status, record = make.status(records=1), make.record(1, make.reply("berlin"))
    answers = {
        routes.OPERATOR_STATUS: status.model_dump_json(),
        f"{routes.OPERATOR_ROUNDS}?after=0": f"[{record.model_dump_json()}]",
    }
    context = tls_context(desk.trust, desk.operator_leaf(now))
    with serving(desk.shelves.leaves.path("server"), desk.trust, answers, monkeypatch):
        async with steward_api(where, context) as api:
            assert await api.status() == status
            assert await api.rounds(0) == [record]
            with pytest.raises(StewardUnreachableError, match="404"):
                await api.rounds(7)


async def test_a_steward_that_is_away_is_told(desk, now, where, monkeypatch):
    context = tls_context(desk.trust, desk.operator_leaf(now))
    with serving(desk.shelves.leaves.path("server"), desk.trust, {}, monkeypatch):
        pass  # the port is free again
    async with steward_api(where, context) as api:
        with pytest.raises(StewardUnreachableError):
            await api.status()


async def test_a_server_of_another_training_is_refused(tmp_path, desk, now, where, monkeypatch):
    """Its leaf is good, and of another issuing CA, under the same names."""
    foreign = desk_of(tmp_path / "foreign", Federation("cluster.local", "fed", "other"), now)
    context = tls_context(desk.trust, desk.operator_leaf(now))
    with serving(foreign.shelves.leaves.path("server"), desk.trust, {routes.OPERATOR_STATUS: "{}"}, monkeypatch):
        async with steward_api(where, context) as api:
            with pytest.raises(StewardUnreachableError, match="certificate verify failed"):
                await api.status()


async def test_another_name_is_refused(desk, now, where, monkeypatch):
    context = tls_context(desk.trust, desk.operator_leaf(now))
    with serving(desk.shelves.leaves.path("server"), desk.trust, {routes.OPERATOR_STATUS: "{}"}, monkeypatch):
        async with steward_api(dataclasses.replace(where, server_name="other.fed.svc"), context) as api:
            with pytest.raises(StewardUnreachableError, match="Hostname mismatch"):
                await api.status()


async def test_an_identity_that_is_not_the_servers_is_refused(desk, now, where, federation, monkeypatch):
    context = tls_context(desk.trust, desk.operator_leaf(now))
    with serving(desk.shelves.leaves.path("server"), desk.trust, {routes.OPERATOR_STATUS: "{}"}, monkeypatch):
        wanted = dataclasses.replace(where, identity=federation.client("server"))
        async with steward_api(wanted, context) as api:
            with pytest.raises(WrongServerError) as caught:
                await api.status()
    assert caught.value.found == federation.server().uri


async def test_proxies_of_the_environment_are_not_used(desk, now, where, monkeypatch, make):
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:1")
    answers = {routes.OPERATOR_STATUS: make.status().model_dump_json()}
    context = tls_context(desk.trust, desk.operator_leaf(now))
    with serving(desk.shelves.leaves.path("server"), desk.trust, answers, monkeypatch):
        async with steward_api(where, context) as api:
            assert await api.status() == make.status()
