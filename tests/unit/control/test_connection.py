"""What a kubeconfig says of the way to an API server is followed, or refused by the name of its field."""

import asyncio
import json
import ssl
from base64 import b64encode
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import pytest
from aiohttp import ClientConnectorCertificateError, web
from aiohttp.test_utils import TestServer
from harness.certificates import Authority
from kubernetes.aio.client import Configuration

from shieldwall.control.cluster.api import Api
from shieldwall.control.cluster.connection import Connection, NoClusterError, connect
from shieldwall.control.cluster.errors import ApiUnreachableError
from shieldwall.control.cluster.kinds import SECRET
from shieldwall.control.cluster.kopf_session import KopfLogin
from shieldwall.control.cluster.kubeconfig import UnsupportedFieldError, read_kubeconfig

NAME = "api.example"


def write(tmp_path, cluster, user=None):
    document = {
        "clusters": [{"name": "prod", "cluster": {"server": "https://127.0.0.1:1"} | cluster}],
        "users": [{"name": "me", "user": user or {"token": "t"}}],
        "contexts": [{"name": "x", "context": {"cluster": "prod", "user": "me"}}],
        "current-context": "x",
    }
    path = tmp_path / "config"
    path.write_text(json.dumps(document))
    return path


async def connection(path):
    configuration = Configuration()
    assert await read_kubeconfig(configuration, str(path)) == "default"
    return Connection(configuration)


@pytest.fixture
def authority():
    return Authority()


@pytest.fixture
async def server(authority, tmp_path):
    """An HTTPS server on 127.0.0.1 whose certificate holds another address and NAME; says whom it was asked as."""

    async def answer(request):
        return web.json_response({"as": request.headers["Authorization"]})

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*authority.serving("127.9.9.9", [NAME]).write(tmp_path, "serving"))
    app = web.Application()
    app.router.add_get("/{path:.*}", answer)
    running = TestServer(app, scheme="https", host="127.0.0.1")
    await running.start_server(ssl=context)
    yield str(running.make_url("")).rstrip("/")
    await running.close()


@pytest.fixture
def trusted(authority, server):
    return {"server": server, "certificate-authority-data": b64encode(authority.certificate).decode()}


async def ask(way):
    async with Api(way, in_flight=1) as api:
        return await api.get(SECRET, "fed", "x")


async def ask_as_kopf(way):
    info = await KopfLogin(way, [SECRET], ["fed"], lambda _: None).session()
    async with info.aiohttp_session as session, session.get(f"{info.server}/x") as answer:
        return await answer.json()


@asynccontextmanager
async def proxy():
    """An HTTP proxy that knows CONNECT; yields its URL and the lines it was asked with."""
    asked = []

    async def serve(reader, writer):
        asked.append((await reader.readuntil(b"\r\n\r\n")).split(b"\r\n")[0].decode())
        host, _, port = asked[-1].split()[1].rpartition(":")
        there, beyond = await asyncio.open_connection(host, int(port))
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        await asyncio.gather(pump(reader, beyond), pump(there, writer))

    async def pump(source, sink):
        while data := await source.read(65536):
            sink.write(data)
        sink.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as listening:
        yield f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}", asked


async def test_the_servers_certificate_must_name_it(tmp_path, trusted):
    with pytest.raises(ApiUnreachableError):
        await ask(await connection(write(tmp_path, trusted)))


async def test_the_name_may_be_another_than_the_hosts(tmp_path, trusted):
    way = await connection(write(tmp_path, trusted | {"tls-server-name": NAME}))
    assert await ask(way) == {"as": "Bearer t"}
    with pytest.raises(ApiUnreachableError):
        await ask(await connection(write(tmp_path, trusted | {"tls-server-name": "other.example"})))


async def test_the_certificate_is_not_checked_where_that_is_wanted(tmp_path, server):
    way = await connection(write(tmp_path, {"server": server, "insecure-skip-tls-verify": True}))
    assert await ask(way) == {"as": "Bearer t"}
    assert await ask_as_kopf(way) == {"as": "Bearer t"}
    with pytest.raises(ApiUnreachableError):
        await ask(await connection(write(tmp_path, {"server": server, "insecure-skip-tls-verify": False})))


async def test_the_server_is_reached_through_the_proxy(tmp_path, trusted):
    async with proxy() as (url, asked):
        way = await connection(write(tmp_path, trusted | {"proxy-url": url, "tls-server-name": NAME}))
        assert await ask(way) == {"as": "Bearer t"}
        assert asked == [f"CONNECT {trusted['server'].removeprefix('https://')} HTTP/1.1"]


async def test_kopf_goes_the_same_way_with_the_same_credentials(tmp_path, authority, server):
    trusted = {"server": server, "certificate-authority-data": b64encode(authority.certificate).decode()}
    with pytest.raises(ClientConnectorCertificateError):
        await ask_as_kopf(await connection(write(tmp_path, trusted)))
    async with proxy() as (url, asked):
        open_way = trusted | {"proxy-url": url, "insecure-skip-tls-verify": True}
        open_way.pop("certificate-authority-data")
        assert await ask_as_kopf(await connection(write(tmp_path, open_way))) == {"as": "Bearer t"}
        assert asked == [f"CONNECT {server.removeprefix('https://')} HTTP/1.1"]
        user = {"username": "u", "password": "p"}
        assert await ask_as_kopf(await connection(write(tmp_path, open_way, user))) == {"as": "Basic dTpw"}


@pytest.mark.parametrize(
    ("cluster", "user", "field"),
    [
        ({"insecure-skip-tls-verify": "false"}, {}, "clusters[prod].cluster.insecure-skip-tls-verify"),
        (
            {"insecure-skip-tls-verify": True, "certificate-authority-data": "AAAA"},
            {},
            "clusters[prod].cluster.insecure-skip-tls-verify",
        ),
        ({"tls-server-name": 5}, {}, "clusters[prod].cluster.tls-server-name"),
        ({"proxy-url": "socks5://127.0.0.1:1080"}, {}, "clusters[prod].cluster.proxy-url"),
        ({"proxy-url": 5}, {}, "clusters[prod].cluster.proxy-url"),
        (
            {},
            {"auth-provider": {"name": "azure", "config": {"access-token": "secret"}}},
            "users[me].user.auth-provider",
        ),
        ({}, {"token": "secret", "as": "admin"}, "users[me].user.as"),
        ({}, {"token": "secret", "as-groups": ["g"]}, "users[me].user.as-groups"),
        ({}, {"exec": {"apiVersion": "v1", "command": "/bin/false"}}, "users[me].user.exec"),
    ],
)
async def test_what_cannot_be_followed_is_refused_by_its_name(tmp_path, cluster, user, field):
    path = write(tmp_path, cluster, user)
    with pytest.raises(UnsupportedFieldError) as caught:
        await read_kubeconfig(Configuration(), str(path))
    assert caught.value.field == field
    with pytest.raises(NoClusterError) as told:
        await connect(path)
    assert field in str(told.value)
    assert "secret" not in str(told.value)


async def test_empty_fields_say_nothing(tmp_path):
    nothing = {"proxy-url": "", "tls-server-name": "", "insecure-skip-tls-verify": False}
    way = await connect(write(tmp_path, nothing, {"token": "t", "as": ""}))
    assert (way.proxy, way.tls_server_name, way.ssl_context.verify_mode) == (None, None, ssl.CERT_REQUIRED)


async def test_the_operator_refuses_what_kopf_cannot_follow(tmp_path):
    with pytest.raises(NoClusterError, match="tls-server-name"):
        await connect(write(tmp_path, {"tls-server-name": NAME}))


def plugin(tmp_path, until):
    """An exec plugin whose tokens are numbered."""
    calls = tmp_path / "calls"
    calls.touch()
    status = {"token": "t$(wc -l < calls | tr -d ' ')"} | ({"expirationTimestamp": until} if until else {})
    credential = {"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential", "status": status}
    text = json.dumps(credential).replace('"', '\\"')
    script = tmp_path / "plugin"
    script.write_text(f'#!/bin/sh\ncd {tmp_path}\necho >> calls\necho "{text}"\n')
    script.chmod(0o700)
    return {"exec": {"apiVersion": "client.authentication.k8s.io/v1", "command": str(script)}}


@pytest.mark.parametrize(("ahead", "tokens"), [(None, ["t1", "t1"]), (60, ["t1", "t1"]), (1, ["t2", "t3"])])
async def test_a_plugins_token_is_asked_for_anew_when_it_ends(tmp_path, ahead, tokens):
    until = f"{datetime.now(UTC) + timedelta(minutes=ahead):%Y-%m-%dT%H:%M:%SZ}" if ahead else None
    way = await connect(write(tmp_path, {}, plugin(tmp_path, until)))
    assert [(await way.authorization())["Authorization"] for _ in tokens] == [f"Bearer {token}" for token in tokens]
