"""Every request of kopf's own is counted: with its verb, its kind and what became of it."""

import asyncio
from contextlib import asynccontextmanager

import kopf
import pytest
from aiohttp import ClientConnectorError, web

from shieldwall.control import handlers
from shieldwall.control.cluster.api import Request
from shieldwall.control.cluster.kinds import OWNED, SECRET, TRAINING
from shieldwall.control.cluster.kopf_session import KopfLogin
from shieldwall.control.cluster.store import Store
from shieldwall.control.workqueue import WorkQueue

from .conftest import failure

DEFINITIONS = {"groupVersion": "apiextensions.k8s.io/v1", "version": "v1"}
SECRETS, WATCH = "/api/v1/namespaces/fed/secrets", {"watch": "true"}


@asynccontextmanager
async def session(connection, namespaces=("fed",)):
    counted = []
    info = await KopfLogin(connection, (TRAINING, *OWNED), namespaces, counted.append).session()
    async with info.aiohttp_session as session:
        yield session, counted, info.server


async def test_lists_and_watches_are_told_apart_and_from_what_is_no_collection(cluster):
    cluster.faults[f"GET {SECRETS}"] = [_as_usual, failure(403, "Forbidden")]
    cluster.faults["GET /apis"] = [failure(500)]
    async with cluster.serving() as connection, session(connection) as (http, counted, server):
        await http.get(f"{server}{SECRETS}", params={"limit": "500"})
        await http.get(f"{server}{SECRETS}", params=WATCH)
        await http.get(f"{server}/apis")
    assert counted == [
        Request("list", "Secret", "200", "fed"),
        Request("watch", "Secret", "403", "fed"),
        Request("discover", "APIResourceList", "500"),
    ]


async def test_in_all_namespaces_the_collections_are_others(cluster):
    async with cluster.serving() as connection, session(connection, ()) as (http, counted, server):
        await http.get(f"{server}{TRAINING.path()}", params=WATCH)
        await http.get(f"{server}{SECRET.path('fed')}", params=WATCH)
    assert [(each.verb, each.kind, each.namespace) for each in counted] == [
        ("watch", "FederatedTraining", None),
        ("discover", "APIResourceList", None),
    ]


async def test_no_answer_is_counted_too(cluster):
    async with cluster.serving() as connection:
        gone = connection
    async with session(gone) as (http, counted, server):
        with pytest.raises(ClientConnectorError):
            await http.get(f"{server}{SECRETS}", params=WATCH)
    assert counted == [Request("watch", "Secret", "unreachable", "fed")]


async def test_new_credentials_are_a_new_session_and_the_same_ones_are_not(cluster):
    """After a 401 kopf asks again and takes nothing that it was given before: it ends, and tries no more."""
    tokens = iter(["one", "one", "two"])

    async def authorization():
        return {"Authorization": f"Bearer {next(tokens)}"}

    async with cluster.serving() as connection:
        connection.authorization = authorization
        login = KopfLogin(connection, (TRAINING,), (), lambda _: None)
        first, same, new = [await login.session() for _ in range(3)]
        assert first == same
        assert first != new
        assert new.aiohttp_session.headers["Authorization"] == "Bearer two"
        await first.aiohttp_session.close()  # as kopf does after a 401
        await login.close()
        assert new.aiohttp_session.closed


async def test_a_watch_of_kopf_that_is_refused_is_counted_for_each_try(cluster, monkeypatch):
    """kopf itself at work, against a server that refuses all watches of Secrets."""
    monkeypatch.setattr(handlers, "_BACKOFFS", [0.01, 0.01])
    cluster.faults["GET /api"] = [_told({"versions": ["v1"]})]
    cluster.faults["GET /apis"] = [
        _told(
            {"groups": [{"name": "apiextensions.k8s.io", "versions": [DEFINITIONS], "preferredVersion": DEFINITIONS}]}
        )
    ]
    cluster.faults["GET /api/v1"] = [_told({"resources": [_resource("secrets"), _resource("namespaces")]})]
    cluster.faults["GET /apis/apiextensions.k8s.io/v1"] = [
        _told({"resources": [_resource("customresourcedefinitions")]})
    ]
    cluster.faults[f"GET {SECRETS}"] = [_as_usual, *[failure(403, "Forbidden") for _ in range(3)]]
    counted = []
    async with cluster.serving() as connection:
        login = KopfLogin(connection, (TRAINING, *OWNED), ("fed",), counted.append)
        registry = handlers.registry_of(login, Store(), WorkQueue(lambda: 0.5), WorkQueue(lambda: 0.5))
        operator = kopf.operator(
            registry=registry,
            settings=handlers.settings_of(),
            identity="test",
            standalone=True,
            namespaces=["fed"],
            stop_flag=asyncio.Event(),
        )
        with pytest.raises(Exception, match="a 403"):
            await asyncio.wait_for(operator, 20)
    of_secrets = [each for each in counted if each.kind == "Secret"]
    assert of_secrets == [Request("list", "Secret", "200", "fed")] + 3 * [Request("watch", "Secret", "403", "fed")]


def _told(body):
    async def tell(_):
        return web.json_response(body)

    return tell


def _resource(plural):
    name = plural.removesuffix("s")
    return {
        "name": plural, "singularName": name, "kind": name.capitalize(), "namespaced": plural == "secrets",
        "verbs": ["list", "watch", "patch"],
    }  # fmt: skip


async def _as_usual(_):
    return None
