"""A training's certificates, and a steward that answers over real TLS as it is told."""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import http.client
import os
import socket
import ssl
import threading
import time
from dataclasses import dataclass

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from shieldwall.contract import ports, routes
from shieldwall.contract.identity import Federation
from shieldwall.contract.records import ClientStatus, Outcome, Phase, RoundRecord, StewardStatus
from shieldwall.control.steward.api import Whereabouts
from shieldwall.control.steward.credentials import Credentials, _in_memory
from shieldwall.pki.authority import Authority, new_issuer, new_root
from shieldwall.pki.crl import issue_crl
from shieldwall.pki.leaf import LeafRequest, issue
from shieldwall.pki.pem import certificates_from_pem, certificates_to_pem, crl_to_pem, private_key_to_pem
from shieldwall.pki.serials import new_serial, serial_text

NAME = "digits-server.fed.svc"
DAY = dt.timedelta(hours=24)


def new_key():
    return ec.generate_private_key(ec.SECP256R1())


@dataclass(frozen=True)
class Site:
    """One training's issuing CA and what it signs."""

    federation: Federation
    issuer: Authority
    now: dt.datetime

    @classmethod
    def new(cls, federation, now):
        root = new_root("test", new_key(), new_serial(os.urandom), now)
        return cls(federation, new_issuer(root, federation, new_key(), new_serial(os.urandom), now), now)

    def credentials(self, identity=None, names=(), revoked=()):
        """The operator's, or another's, with a list of what is ``revoked``."""
        request = LeafRequest(identity or self.federation.operator(), names, DAY)
        key = new_key()
        leaf = issue(self.issuer, request, key.public_key(), new_serial(os.urandom), self.now)
        ca = certificates_to_pem([self.issuer.certificate])
        entries = {int(serial, 16): (self.now, x509.ReasonFlags.unspecified) for serial in revoked}
        crl = issue_crl(self.issuer, entries, 1, self.now, self.now + DAY)
        chain = certificates_to_pem([leaf]) + ca
        return Credentials(chain.encode(), private_key_to_pem(key).encode(), ca.encode(), crl_to_pem(crl).encode())

    def server(self):
        return self.credentials(self.federation.server(), (NAME,))

    @property
    def where(self):
        return Whereabouts("127.0.0.1", NAME, self.federation.server())


def serial_of(credentials):
    return serial_text(certificates_from_pem(credentials.chain)[0].serial_number)


class Steward:
    """Answers requests by path; ``asked`` keeps what came, ``shown`` the serials of the clients' leaves."""

    def __init__(self, credentials):
        self.credentials = credentials
        self.answers = {}
        self.asked = []
        self.bodies = []
        self.accepted = []
        """What codings each request would take."""
        self.shown = []
        self.connections = 0
        self.strict = True
        """Whether a certificate is asked for."""
        self.status = 200
        self.head = ""
        """More lines of an answer's head."""
        self.pause = 0.0
        """Seconds between two bytes of an answer, which comes at once when there is none."""
        self._open = []

    def tells(self, status, *records):
        self.answers[routes.OPERATOR_STATUS] = status.model_dump_json()
        for index in range(len(records)):
            texts = ",".join(each.model_dump_json() for each in records[index:])
            self.answers[f"{routes.OPERATOR_ROUNDS}?after={index}"] = f"[{texts}]"

    @contextlib.asynccontextmanager
    async def serving(self, port=0):
        """Serve in threads: a refused client gets its alert, which asyncio's servers do not send."""
        context = self._context()
        listener = socket.create_server(("127.0.0.1", port))
        threads = [threading.Thread(target=self._accept, args=(listener, context))]
        threads[0].start()
        try:
            yield listener.getsockname()[1]
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            await asyncio.to_thread(threads[0].join)
            listener.close()
            self.hang_up()

    def hang_up(self):
        """End every open connection."""
        for connection in self._open:
            with contextlib.suppress(OSError):
                socket.socket.shutdown(connection, socket.SHUT_RDWR)  # TLS's own takes the session from its thread

    def _context(self):
        server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        server.minimum_version = ssl.TLSVersion.TLSv1_3
        server.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
        with _in_memory(self.credentials.chain) as chain, _in_memory(self.credentials.key) as key:
            server.load_cert_chain(chain, key)
        server.load_verify_locations(cadata=self.credentials.ca.decode())
        server.verify_mode = ssl.CERT_REQUIRED if self.strict else ssl.CERT_NONE
        return server

    def _accept(self, listener, context):
        threads = []
        with contextlib.suppress(OSError):
            while True:
                plain, _ = listener.accept()
                self._open.append(plain)
                threads.append(threading.Thread(target=self._talk, args=(plain, context)))
                threads[-1].start()
        self.hang_up()
        for thread in threads:
            thread.join()

    def _talk(self, plain, context):
        with (
            contextlib.suppress(OSError, ValueError),
            plain,
            context.wrap_socket(plain, server_side=True) as connection,
        ):
            self.connections += 1
            self._open.append(connection)
            stream = connection.makefile("rb")
            while line := stream.readline():
                method, path, _ = line.decode().split(" ")
                headers = http.client.parse_headers(stream)
                self.bodies.append(stream.read(int(headers.get("content-length", 0))))
                self.accepted.append(headers["accept-encoding"])
                self.asked.append(f"{method} {path}")
                if shown := connection.getpeercert():
                    self.shown.append(shown["serialNumber"].lower().lstrip("0"))
                text = self.answers.get(path)
                code = 404 if text is None else self.status
                body = text if isinstance(text, bytes) else (text or "").encode()
                head = f"HTTP/1.1 {code} X\r\ncontent-length: {len(body)}\r\n{self.head}\r\n".encode()
                self._send(connection, head + body)

    def _send(self, connection, content):
        if not self.pause:
            connection.sendall(content)
            return
        for byte in content:
            connection.sendall(bytes([byte]))
            time.sleep(self.pause)


@pytest.fixture
def now():
    return dt.datetime.now(dt.UTC)  # TLS goes by the clock


@pytest.fixture
def site(now):
    return Site.new(Federation("cluster.local", "fed", "digits"), now)


@pytest.fixture
def steward(site):
    return Steward(site.server())


@pytest.fixture
async def listening(steward, monkeypatch):
    """The steward at its port."""
    async with steward.serving() as port:
        monkeypatch.setattr(ports, "STEWARD", port)
        yield steward


def status(phase=Phase.TRAINING, **more):
    values = {
        "message": "It goes on.",
        "run_id": "1",
        "runs_started": 1,
        "round": 0,
        "rounds": 3,
        "records": 0,
        "metrics": {},
        "model_sha256": None,
        "clients": (),
        "denials": (),
        "handshakes": {},
    }
    return StewardStatus(phase=phase, **(values | more))


def record(number, outcome=Outcome.RELEASED):
    return RoundRecord(
        run_id="1",
        round=number,
        attempt=1,
        outcome=outcome,
        opened=0.0,
        seconds=2.5,
        rule="FedTrimmedAvg",
        admitted=3,
        byzantine=1,
        replies=(),
    )


@pytest.fixture
def make():
    class Make:
        pass

    for builder in (status, record):
        setattr(Make, builder.__name__, staticmethod(builder))
    Make.client = staticmethod(lambda **more: ClientStatus(name="berlin", **more))
    Make.Steward, Make.Site, Make.serial_of = Steward, Site, staticmethod(serial_of)
    return Make
