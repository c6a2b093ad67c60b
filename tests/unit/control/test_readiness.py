"""Ready is a replica whose watches are open and whom the API server answers; and it says what is missing."""

import asyncio
import logging

import aiohttp
import pytest
from aiohttp import web

from shieldwall.control.cluster.api import Request
from shieldwall.control.cluster.kinds import OURS, OWNED
from shieldwall.control.metrics import Metrics
from shieldwall.control.readiness import Readiness, attend, until_served
from shieldwall.control.web import pages

from .conftest import failure, replica, simulate

KINDS = (*OURS, *OWNED)
LEASE = Request("get", "Lease", "200")


class World:
    """A replica's readiness, and the time."""

    def __init__(self, *namespaces, patience=60.0):
        self.now = 0.0
        self.namespaces = namespaces or (None,)
        self.readiness = Readiness(namespaces, lambda: self.now, patience)

    def open(self, *but):
        for kind in KINDS:
            for namespace in self.namespaces:
                self.readiness.heard_of_watch(Request("list", kind.kind, "200", namespace))
                if kind.kind not in but:
                    self.readiness.heard_of_watch(Request("watch", kind.kind, "200", namespace))
        return self

    def hear(self, request, *, after=0.0):
        """Of kopf, but for the Lease, which is nothing to it."""
        self.now += after
        (self.readiness.heard if request.kind == "Lease" else self.readiness.heard_of_watch)(request)
        return self.missing

    def hear_ours(self, request, *, after=0.0):
        """Of the operator's own requests."""
        self.now += after
        self.readiness.heard(request)
        return self.missing

    @property
    def missing(self):
        return self.readiness.missing()


def test_before_any_answer_it_is_the_api_server_that_is_missing():
    assert World().missing == ("API server has not answered yet",)


def test_it_is_ready_when_every_watch_is_open_in_every_namespace():
    assert World().open().missing == ()
    assert World("fed", "other").open().missing == ()
    world = World("fed", "other").open("Secret")
    assert world.missing == ("watch of secrets in fed: not begun", "watch of secrets in other: not begun")
    world.hear(Request("watch", "Secret", "200", "fed"))
    assert world.missing == ("watch of secrets in other: not begun",)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.plural)
def test_each_kind_counts(kind):
    assert World().open(kind.kind).missing == (f"watch of {kind.plural}: not begun",)


def test_a_list_alone_is_no_watch():
    """A role with list and without watch."""
    world = World().open("Secret")
    assert world.hear(Request("watch", "Secret", "403")) == ("watch of secrets: forbidden",)
    assert world.hear(Request("list", "Secret", "200")) == ("watch of secrets: forbidden",)


def test_without_any_right_the_first_few_are_named():
    world = World()
    for kind in KINDS:
        world.hear(Request("list", kind.kind, "403"))
    assert world.missing == (
        "watch of federatedtrainings: forbidden",
        "watch of privacybudgets: forbidden",
        "watch of serviceaccounts: forbidden",
        "and 7 more",
    )


@pytest.mark.parametrize(("code", "word"), [("401", "unauthorized"), ("599", "599"), ("unreachable", "unreachable")])
def test_any_answer_has_a_word(code, word):
    world = World().open("Secret")
    assert world.hear(Request("watch", "Secret", code)) == (f"watch of secrets: {word}",)


def test_a_kind_that_is_not_there_is_told_by_its_definition():
    world = World().open("FederatedTraining")
    told = "watch of federatedtrainings: not found: is its CustomResourceDefinition installed?"
    assert world.hear(Request("discover", "FederatedTraining", "404")) == (told,)
    assert World().open().hear(Request("discover", "FederatedTraining", "404")) == ()


def test_an_api_server_may_be_silent_for_a_minute_and_its_first_answer_is_enough():
    world = World().open()
    world.now = 60.0
    assert world.missing == ()
    world.now = 75.0
    assert world.missing == ("API server silent for 75 s",)
    assert world.hear(Request("get", "Lease", "unreachable")) == ("API server silent for 75 s",)
    assert world.hear(Request("get", "Lease", "503")) == ("API server silent for 75 s",), "a load balancer's word"
    assert world.hear(LEASE) == ()


@pytest.mark.parametrize("code", ["200", "403", "404", "409", "429"])
def test_a_refusal_is_an_answer_too(code):
    world = World().open()
    assert world.hear_ours(Request("get", "ConfigMap", code), after=100.0) == ()


@pytest.mark.parametrize("code", ["410", "429", "403", "unreachable"])
def test_what_a_list_of_our_own_meets_says_nothing_of_the_watch(code):
    """A page that expired is asked for again at once; nobody would open the watch anew for that."""
    world = World().open()
    world.hear_ours(Request("list", "ConfigMap", code), after=480.0)
    world.hear_ours(Request("list", "ConfigMap", "200"))
    for _ in range(40):
        assert world.hear(LEASE, after=30.0) == ()


async def test_in_all_namespaces_the_operators_lists_are_told_from_kopfs(cluster):
    """Both are of no namespace."""
    cluster.faults["GET /api/v1/serviceaccounts"] = [failure(410)]
    async with replica(cluster, watchNamespaces=[]) as parts:
        await parts.worker._lister.everything()
        assert cluster.requests.count("GET /api/v1/serviceaccounts") == 2
        told = parts.readiness.missing()
    assert told
    assert not [each for each in told if "not begun" not in each and "more" not in each], told


def test_without_a_right_on_the_lease_it_never_leads_and_is_not_ready():
    world = World().open()
    assert world.hear(Request("get", "Lease", "403")) == ("get of the Lease: forbidden",)
    assert world.hear(LEASE, after=2.0) == ()
    assert world.hear(Request("update", "Lease", "403")) == ("update of the Lease: forbidden",)
    assert world.hear(LEASE, after=2.0) == ("update of the Lease: forbidden",), "it may be read, and not taken"
    assert world.hear(Request("update", "Lease", "200"), after=2.0) == ()


@pytest.mark.parametrize("code", ["404", "409", "500", "unreachable"])
def test_only_a_refusal_keeps_the_lease_from_it(code):
    world = World().open()
    for _ in range(60):
        world.hear(Request("update", "Lease", code), after=2.0)
        assert world.hear(LEASE) == ()


def test_a_right_on_the_lease_may_be_away_for_a_minute():
    world = World().open()
    world.hear(LEASE)
    for _ in range(30):
        assert world.hear(Request("get", "Lease", "403"), after=2.0) == ()
    world.hear(Request("get", "Lease", "403"), after=4.0)
    assert world.missing == ("get of the Lease: forbidden for 62 s",)


def test_a_refusal_is_forgotten_when_nobody_tries_again():
    """Another replica leads, and has the right: this one only reads."""
    world = World().open()
    world.hear(Request("create", "Lease", "403"))
    for _ in range(31):
        world.hear(LEASE, after=2.0)
    assert world.missing == ()
    world.hear(Request("update", "Lease", "409"))
    world.hear(Request("update", "Lease", "403"), after=10.0)
    for _ in range(40):
        world.hear(LEASE, after=2.0)
    world.hear(Request("update", "Lease", "403"))
    assert world.missing == (), "two that have nothing to do with each other"


def test_a_watch_that_is_refused_later_may_be_so_for_a_minute():
    """Roles are replaced in an upgrade: kopf tries again, and mostly is let in."""
    world = World().open()
    for _ in range(12):
        world.hear(Request("watch", "Secret", "403"), after=5.0)
    world.hear(LEASE)
    assert world.missing == ()
    world.hear(Request("watch", "Secret", "403"), after=5.0)
    world.hear(LEASE, after=5.0)
    assert world.missing == ("watch of secrets: forbidden for 65 s",)
    assert world.hear(Request("watch", "Secret", "200")) == ()


def test_a_refusal_that_passed_does_not_count_for_the_next():
    world = World().open()
    world.hear(Request("watch", "Secret", "403"))
    world.hear(Request("watch", "Secret", "200"))
    world.now = 100.0
    world.hear(Request("watch", "Secret", "unreachable"))
    assert world.hear(LEASE) == ()


def test_where_nobody_asks_the_api_server_is_asked_in_time(caplog):
    """Without an election hours may pass between two requests of an operator that has nothing to do."""
    caplog.set_level(logging.INFO)

    async def main(loop):
        readiness = Readiness((), loop.time)
        for kind in KINDS:
            readiness.heard_of_watch(Request("watch", kind.kind, "200"))
        asked, failing = [], []

        class Server:
            async def serves(self, kind):
                asked.append((loop.time(), kind))
                if not failing:
                    readiness.heard(Request("discover", kind.kind, "200"))
                return True

        task = loop.create_task(attend(readiness, Server()))
        await asyncio.sleep(600)
        assert readiness.missing() == ()
        assert 25 <= len(asked) <= 40
        failing.append(True)
        await asyncio.sleep(120)
        assert "silent" in readiness.missing()[0]
        failing.clear()
        await asyncio.sleep(10)
        assert readiness.missing() == ()
        task.cancel()

    simulate(main)
    said = [record.getMessage().split(":")[0] for record in caplog.records if "readiness" in record.name]
    assert said == ["ready", "not ready", "ready"], "once for each change"


def test_where_somebody_asks_nobody_else_does():
    async def main(loop):
        readiness = Readiness((), loop.time)
        task = loop.create_task(attend(readiness, None))
        for _ in range(100):
            readiness.heard(LEASE)
            await asyncio.sleep(2)
        assert not task.done()
        task.cancel()

    simulate(main)


@pytest.mark.parametrize("kind", OURS, ids=lambda kind: kind.kind)
async def test_watches_begin_when_there_is_something_to_watch(cluster, api, caplog, kind):
    group = f"/apis/{kind.api_version}"
    others = [each for each in OURS if each is not kind]
    cluster.faults[f"GET {group}"] = [failure(404), failure(404), failure(403), _Resources(others), _Resources(OURS)]
    await until_served(api, kind, pause=0.001)
    assert cluster.requests == [f"GET {group}"] * 5
    assert [record.getMessage() for record in caplog.records] == [
        f"there is no kind {kind.kind} of {kind.api_version}; install its CustomResourceDefinition",
        "waiting for the API server: 403 Failure: a 403",
    ]


class _Resources:
    def __init__(self, kinds):
        self._kinds = kinds

    async def __call__(self, _):
        return web.json_response({"resources": [{"name": kind.plural} for kind in self._kinds]})


async def test_the_pages_say_what_is_missing_in_one_line():
    told = {"healthy": (), "ready": ("watch of secrets: forbidden", "and 6 more")}
    serving = pages(0, Metrics(lambda: 0, lambda: 0), lambda: told["healthy"], lambda: told["ready"], "127.0.0.1")
    async with serving as port, aiohttp.ClientSession(f"http://127.0.0.1:{port}") as http:

        async def ask(path):
            async with http.get(path) as answer:
                return answer.status, await answer.text()

        assert await ask("/healthz") == (200, "ok\n"), "of the process only"
        assert await ask("/readyz") == (503, "watch of secrets: forbidden; and 6 more\n")
        told["ready"] = ()
        assert await ask("/readyz") == (200, "ok\n")
        told["healthy"] = ("watching is over",)
        assert await ask("/healthz") == (503, "watching is over\n")
