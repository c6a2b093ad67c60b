"""A laboratory: the server pod's real Envoy on loopback, with a recorder where SuperLink and steward would be.

The certificates come from a small CA of the tests' own, because most of them are ones that Shieldwall's never issues.
"""

from __future__ import annotations

import datetime as dt
import http.client
import ipaddress
import json
import os
import socket
import ssl
import subprocess
import tempfile
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import httpx
import pytest
import uvicorn
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from shieldwall.contract.identity import Federation
from shieldwall.contract.paths import Paths
from shieldwall.runtime.proxy.main import envoy_binary, envoy_command, write_configuration
from shieldwall.runtime.proxy.settings import Settings, Side

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

T = TypeVar("T")
HOUR = dt.timedelta(hours=1)
OURS = Federation("example.org", "demo", "digits")
OTHERS = Federation("example.org", "demo", "faces")
CLIENT_AUTH = ExtendedKeyUsageOID.CLIENT_AUTH
SERVER_AUTH = ExtendedKeyUsageOID.SERVER_AUTH
PEM = serialization.Encoding.PEM


def address(number: int) -> str:
    """A loopback address of this process's own, so that two test runs do not meet; ``number`` from 1 to 254."""
    process = os.getpid()
    return f"127.{process % 200 + 50}.{process // 200 % 250}.{number}"


def now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)


@dataclass(frozen=True)
class Pair:
    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey
    chain: tuple[x509.Certificate, ...] = ()
    """Sent along in the handshake."""

    def certificate_pem(self) -> bytes:
        return b"".join(c.public_bytes(PEM) for c in (self.certificate, *self.chain))

    def key_pem(self) -> bytes:
        return self.key.private_bytes(PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())


def _sign(
    name: str, issuer: Pair | None, extensions: list[tuple[x509.ExtensionType, bool]], life: tuple[dt.timedelta, ...]
) -> Pair:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    authority = issuer.key if issuer else key
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.certificate.subject if issuer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now() + life[0])
        .not_valid_after(now() + life[1])
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.public_key()), critical=False)
    )
    for extension, critical in extensions:
        builder = builder.add_extension(extension, critical=critical)
    certificate = builder.sign(authority, hashes.SHA256())
    return Pair(certificate, key, (issuer.certificate,) if issuer else ())


def authority(name: str, issuer: Pair | None, depth: int) -> Pair:
    usage = x509.KeyUsage(
        digital_signature=False, content_commitment=False, key_encipherment=False, data_encipherment=False,
        key_agreement=False, key_cert_sign=True, crl_sign=True, encipher_only=False, decipher_only=False,
    )  # fmt: skip
    constraints = x509.BasicConstraints(ca=True, path_length=depth)
    return _sign(name, issuer, [(constraints, True), (usage, True)], (-HOUR, 240 * HOUR))


def leaf(
    issuer: Pair,
    *uris: str,
    purpose: x509.ObjectIdentifier = CLIENT_AUTH,
    life: tuple[dt.timedelta, ...] = (-HOUR, HOUR),
    dns: str | None = None,
) -> Pair:
    names: list[x509.GeneralName] = [x509.UniformResourceIdentifier(uri) for uri in uris]
    names += [x509.DNSName(dns)] if dns else []
    return _sign(
        "leaf",
        issuer,
        [
            (x509.BasicConstraints(ca=False, path_length=None), True),
            (x509.SubjectAlternativeName(names), True),
            (x509.ExtendedKeyUsage([purpose]), False),
        ],
        life,
    )


def revocation_list(issuer: Pair, *revoked: Pair, ends: dt.timedelta = HOUR) -> bytes:
    builder = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(issuer.certificate.subject)
        .last_update(now() - 2 * HOUR)
        .next_update(now() + ends)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer.key.public_key()), critical=False)
        .add_extension(x509.CRLNumber(1), critical=False)
    )
    for pair in revoked:
        entry = x509.RevokedCertificateBuilder().serial_number(pair.certificate.serial_number)
        builder = builder.add_revoked_certificate(entry.revocation_date(now() - HOUR).build())
    return builder.sign(issuer.key, hashes.SHA256()).public_bytes(PEM)


def mount(directory: Path, files: dict[str, bytes]) -> None:
    """Write a volume as the kubelet does: a new directory, and the rename of ``..data``."""
    target = directory / f"..{time.monotonic_ns()}"
    target.mkdir(parents=True)
    for name, content in files.items():
        (target / name).write_bytes(content)
        link = directory / name
        if not link.is_symlink():
            link.symlink_to(f"..data/{name}")
    fresh = directory / "..data_tmp"
    fresh.symlink_to(target.name)
    fresh.rename(directory / "..data")


@dataclass(frozen=True)
class Seen:
    """A request that came through."""

    path: str
    headers: dict[str, str]
    raw: list[tuple[bytes, bytes]]
    body: bytes


@dataclass
class Recorder:
    """An ASGI app that remembers what reached it; plays SuperLink, steward and a gate that allows everyone."""

    seen: list[Seen] = field(default_factory=list)
    verdict: int = 200
    """How the gate answers."""

    async def __call__(self, scope, receive, send) -> None:
        headers = {name.decode(): value.decode() for name, value in scope["headers"]}
        body, more = b"", True
        while more:
            message = await receive()
            body += message.get("body", b"")
            more = message.get("more_body", False)
        path = scope["raw_path"].decode()
        asked = path.startswith("/authz")
        answer = [(b"x-shieldwall-client", _uri(headers).encode())] if asked else []
        self.seen.append(Seen(path, headers, scope["headers"], body))
        status = self.verdict if asked else 200
        await send({"type": "http.response.start", "status": status, "headers": answer})
        await send({"type": "http.response.body", "body": b"reached"})

    def paths(self) -> list[str]:
        return [request.path for request in self.seen]


def _uri(headers: dict[str, str]) -> str:
    return next(part[4:] for part in headers["x-forwarded-client-cert"].split(";") if part.startswith("URI="))


@contextmanager
def serving(config: uvicorn.Config) -> Iterator[None]:
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    until(lambda: server.started)
    try:
        yield
    finally:
        server.should_exit = True
        thread.join(20)


@dataclass(frozen=True)
class Answer:
    """What a request through the proxy came to; ``status`` 0 means the connection was refused."""

    status: int
    body: bytes = b""
    error: str = ""


@dataclass
class Lab:
    """The server pod."""

    settings: Settings
    root: Pair
    issuer: Pair
    other_issuer: Pair
    superlink: Recorder
    log: Path

    def show(self, uri: str, issuer: Pair | None = None) -> Pair:
        """Mount a new leaf for the server."""
        pair = leaf(issuer or self.issuer, uri, purpose=SERVER_AUTH, dns="server")
        mount(self.settings.paths.tls, {"tls.crt": pair.certificate_pem(), "tls.key": pair.key_pem()})
        return pair

    def trust(self, crl: bytes) -> None:
        """Mount the bundle of our issuing CA alone, with ``crl``."""
        mount(self.settings.paths.trust, {"ca.crt": self.issuer.certificate.public_bytes(PEM), "ca.crl": crl})

    def ask(  # noqa: PLR0913, PLR0917  # a request has that many parts
        self,
        port: int,
        pair: Pair | None,
        path: str,
        headers: tuple[tuple[str, str], ...] = (),
        method: str = "POST",
        body: bytes = b"",
    ) -> Answer:
        """Send one raw request and read the whole answer."""
        lines = [f"{method} {path} HTTP/1.1", "Host: server", "Connection: close", f"Content-Length: {len(body)}"]
        lines += [f"{name}: {value}" for name, value in headers]
        raw = ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1") + body
        try:
            with self.connect(port, pair) as connection:
                connection.sendall(raw)
                return _read(connection)
        except (ssl.SSLError, ConnectionError, http.client.HTTPException) as error:
            return Answer(0, error=str(error))

    def context(self, pair: Pair | None) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.load_verify_locations(cadata=self.root.certificate.public_bytes(PEM).decode())
        if pair is not None:
            file = self.settings.directory / "pair.pem"
            file.write_bytes(pair.key_pem() + pair.certificate_pem())
            context.load_cert_chain(file)
        return context

    def connect(self, port: int, pair: Pair | None) -> ssl.SSLSocket:
        plain = socket.create_connection((self.settings.pod_ip, port), timeout=20)
        return self.context(pair).wrap_socket(plain, server_hostname="server")

    def admin(self, path: str) -> httpx.Response:
        return admin(self.settings.paths.admin_socket, path)

    def lines(self) -> list[dict[str, object]]:
        """The access log so far."""
        whole, _, _ = self.log.read_text().rpartition("\n")  # what comes after it is being written
        return [json.loads(line) for line in whole.splitlines() if line.startswith("{")]

    def wait_for_line(self, **wanted: object) -> dict[str, object]:
        def found() -> dict[str, object] | None:
            return next((line for line in self.lines() if wanted.items() <= line.items()), None)

        return until(found)


def until(probe: Callable[[], T], seconds: float = 20) -> T:
    """Ask ``probe`` until it answers something true, at most ``seconds`` long."""
    deadline = time.monotonic() + seconds
    pause = threading.Event()
    while time.monotonic() < deadline:
        if answer := probe():
            return answer
        pause.wait(0.02)
    raise AssertionError(f"{probe} did not come true in {seconds} s")


def admin(path: Path, request: str) -> httpx.Response:
    with httpx.Client(transport=httpx.HTTPTransport(uds=str(path)), base_url="http://admin") as client:
        return client.get(request)


def _read(connection: ssl.SSLSocket) -> Answer:
    response = http.client.HTTPResponse(connection)
    response.begin()
    return Answer(response.status, response.read())


@contextmanager
def running_envoy(side: Side, settings: Settings, log: Path) -> Iterator[subprocess.Popen[bytes]]:
    write_configuration(side, settings)
    command = envoy_command(envoy_binary(), settings)
    with log.open("wb") as out, subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT) as process:
        try:
            until(lambda: _ready(settings, process, log))
            yield process
        finally:
            process.terminate()


def _ready(settings: Settings, process: subprocess.Popen[bytes], log: Path) -> bool:
    assert process.poll() is None, log.read_text()
    with socket.socket(socket.AF_UNIX) as probe:
        if probe.connect_ex(str(settings.paths.admin_socket)):
            return False
    try:
        return admin(settings.paths.admin_socket, "/ready").status_code == 200
    except httpx.TransportError:
        return False


def put_local_certificate(paths: Paths, ip: str) -> None:
    """A pod-local certificate, as the pods' init makes it: its own issuer, for loopback only."""
    names = x509.SubjectAlternativeName([x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address(ip))])
    own = x509.BasicConstraints(ca=True, path_length=0)
    local = _sign("pod-local", None, [(own, True), (names, False)], (-HOUR, HOUR))
    for file, content in ((paths.local_certificate, local.certificate_pem()), (paths.local_key, local.key_pem())):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)


def prepare(base: Path, ip: str) -> Lab:
    """The volumes of a server pod on ``ip``."""
    settings = Settings(OURS, Paths(base / "server"), ip, ip, "", None)
    root = authority("root", None, 1)
    issuer, other = authority("issuer digits", root, 0), authority("issuer faces", root, 0)
    put_local_certificate(settings.paths, settings.loopback)
    settings.directory.mkdir(parents=True)
    lab = Lab(settings, root, issuer, other, Recorder(), base / "envoy.log")
    lab.show(OURS.server().uri)
    lab.trust(revocation_list(issuer))
    return lab


@contextmanager
def running_server(lab: Lab, steward: object) -> Iterator[None]:
    """The server pod: real Envoy, a recorder for SuperLink, the ASGI app ``steward`` on its socket."""
    settings, quiet = lab.settings, {"log_level": "error", "lifespan": "off", "ws": "none"}
    files = {"ssl_certfile": settings.paths.local_certificate, "ssl_keyfile": settings.paths.local_key}
    upstream = uvicorn.Config(lab.superlink, host=settings.loopback, port=8000, **files, **quiet)
    socket_file = uvicorn.Config(steward, uds=str(settings.paths.steward_socket), **quiet)
    with serving(upstream), serving(socket_file), running_envoy(Side.SERVER, settings, lab.log):
        yield


@dataclass(frozen=True)
class Make:
    """The tests' own CA, which issues what Shieldwall's never would."""

    address = staticmethod(address)
    pair = Pair
    authority = staticmethod(authority)
    leaf = staticmethod(leaf)
    revocation_list = staticmethod(revocation_list)
    mount = staticmethod(mount)
    put_local_certificate = staticmethod(put_local_certificate)
    running_envoy = staticmethod(running_envoy)
    prepare = staticmethod(prepare)
    running_server = staticmethod(running_server)
    until = staticmethod(until)
    server_auth = SERVER_AUTH


@pytest.fixture(scope="session")
def make() -> Make:
    return Make()


@pytest.fixture(scope="session")
def federations() -> tuple[Federation, Federation]:
    """Ours and another under the same root."""
    return OURS, OTHERS


@pytest.fixture(scope="module")
def steward() -> Recorder:
    return Recorder()


@pytest.fixture
def tmp_path() -> Iterator[Path]:
    """A short one: the path of a unix socket has 107 characters at most."""
    with tempfile.TemporaryDirectory(prefix="sw-") as directory:
        yield Path(directory)


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory, steward: Recorder) -> Iterator[Lab]:
    pod = prepare(tmp_path_factory.mktemp("lab"), address(1))
    with running_server(pod, steward):
        yield pod
