"""Watches against stewards over real TLS: what is reported, what is not, and what a failure does."""

import asyncio
import contextlib
import dataclasses
import datetime as dt
import gc
import itertools
import logging
import socket

import pytest

from shieldwall.contract import ports, routes
from shieldwall.contract.records import ClientStatus, Outcome, Phase
from shieldwall.control.steward import watch as module
from shieldwall.control.steward.api import StewardUnreachableError
from shieldwall.control.steward.sight import Probe
from shieldwall.control.steward.watch import Pace
from shieldwall.control.steward.watches import StewardWatches

QUICK = Pace(active=0.01, over=0.01, first_wait=0.01, longest_wait=0.04)


# httpcore leaves a handshake that is cancelled to the collector, which comes when it likes.
handshakes_are_cancelled = pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")


class Desk:
    """Gives the operator's credentials, and counts."""

    def __init__(self, site):
        self.site = site
        self.asked = 0
        self.broken = None

    async def __call__(self, key):
        self.asked += 1
        if self.broken is not None:
            raise self.broken
        return self.site.credentials()


class Clock:
    """The real time, and what a test adds to it."""

    def __init__(self):
        self.ahead = dt.timedelta()

    def __call__(self):
        return dt.datetime.now(dt.UTC) + self.ahead


@pytest.fixture
def desk(site):
    return Desk(site)


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
async def watch(site, desk, clock, monkeypatch, unused_port):
    """Starts watches; gives a queue of what is reported."""
    monkeypatch.setattr(ports, "RUNTIME", unused_port)
    started = []

    def start(pace=QUICK, **more):
        seen = asyncio.Queue()
        watches = StewardWatches(
            resolve=lambda key: site.where,
            credentials=desk,
            report=lambda key, sight: seen.put_nowait(sight),
            clock=clock,
            jitter=lambda: 0.5,
            pace=pace,
            **more,
        )
        started.append(watches)
        watches.start("digits")
        return seen, watches

    yield start
    for watches in started:
        await watches.close()


@pytest.fixture
def unused_port():
    """A port of loopback that nobody listens to while the test runs."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield taken.getsockname()[1]


async def so(condition):
    """Wait until it is so; the test's own time-out is the deadline."""
    while not condition():
        await asyncio.sleep(0.001)


async def until(seen, wanted):
    while not wanted(sight := await seen.get()):
        pass
    return sight


async def test_who_is_wanted_back_is_told_to_the_steward_before_the_rounds_are_read(make, watch, listening):
    listening.tells(make.status(clients=(ClientStatus(name="berlin"),)))
    listening.answers[routes.OPERATOR_REINSTATE] = ""
    seen, _ = watch(reinstatements=lambda _: {"berlin": "1"})
    await seen.get()
    assert f"PUT {routes.OPERATOR_REINSTATE}" in listening.asked


async def test_it_reports_what_it_sees_once(make, watch, listening):
    listening.tells(make.status(records=1), make.record(1))
    seen, _ = watch()
    first = await seen.get()
    assert (first.status, first.last_round, first.reachable) == (make.status(records=1), make.record(1), True)
    assert first.server_serial == make.serial_of(listening.credentials)
    await until(seen, lambda sight: sight.without_certificate is not Probe.UNKNOWN)
    before = len(listening.asked)
    await so(lambda: len(listening.asked) >= before + 10)
    assert seen.empty()


async def test_requests_of_clients_alone_are_not_reported(make, watch, listening):
    listening.tells(make.status(clients=(make.client(last_seen=1.0),)))
    seen, _ = watch()
    await until(seen, lambda sight: sight.without_certificate is not Probe.UNKNOWN)
    listening.tells(make.status(clients=(make.client(last_seen=2.0),)))
    before = len(listening.asked)
    await so(lambda: len(listening.asked) >= before + 5)
    assert seen.empty()
    listening.tells(make.status(clients=(make.client(last_seen=2.0, online=True),)))
    assert (await seen.get()).status.clients[0].online


async def test_an_unchanged_sight_is_reported_after_a_minute(make, watch, listening, clock):
    listening.tells(make.status())
    seen, _ = watch()
    first = await until(seen, lambda sight: sight.without_certificate is not Probe.UNKNOWN)
    clock.ahead = dt.timedelta(seconds=61)
    again = await seen.get()
    assert again.status == first.status
    assert again.seen - first.seen >= dt.timedelta(seconds=60)


async def test_records_are_asked_for_when_there_are_more_and_never_again(make, watch, listening):
    repeated = make.record(2, Outcome.REPEATED)
    listening.tells(make.status(records=1, round=1), make.record(1))
    seen, _ = watch()
    await seen.get()
    listening.tells(make.status(records=2, round=1), make.record(1), repeated)
    second = await until(seen, lambda sight: sight.status.records == 2)
    assert (second.last_round, second.newest) == (make.record(1), repeated)
    listening.tells(make.status(records=3, round=2), make.record(1), repeated, make.record(2))
    third = await until(seen, lambda sight: sight.status.records == 3)
    assert third.last_round == third.newest == make.record(2)
    asked = [each for each in listening.asked if "after" in each]
    assert [each[-1] for each in asked] == ["0", "1", "2"]


async def test_the_last_released_round_is_found_below_repeated_ones(make, watch, listening):
    repeats = [make.record(2, Outcome.REPEATED) for _ in range(3)]
    listening.tells(make.status(records=4, round=1), make.record(1), *repeats)
    seen, _ = watch()
    sight = await seen.get()
    assert (sight.last_round, sight.newest) == (make.record(1), repeats[-1])
    assert [each[-1] for each in listening.asked if "after" in each] == ["3", "0"]


async def test_a_steward_that_boasts_of_records_is_not_asked_for_ever(make, watch, listening):
    listening.tells(make.status(records=2**31 - 1))
    for back in itertools.accumulate((1, 8, 64, *[500] * 17)):
        listening.answers[f"{routes.OPERATOR_ROUNDS}?after={2**31 - 1 - back}"] = "[]"
    seen, _ = watch()
    assert (await seen.get()).last_round is None
    assert len([each for each in listening.asked if "after" in each]) == 19


async def test_records_that_are_too_large_are_done_without(make, watch, listening, monkeypatch):
    repeats = [make.record(2, Outcome.REPEATED) for _ in range(20)]
    listening.tells(make.status(records=21, round=1), make.record(1), *repeats)
    monkeypatch.setattr("shieldwall.control.steward.api._LARGEST_ANSWER", 3000)
    seen, _ = watch()
    sight = await until(seen, lambda sight: sight.without_certificate is not Probe.UNKNOWN)
    assert (sight.status.round, sight.last_round, sight.reachable) == (1, None, True)
    assert sight.newest == repeats[-1]
    assert [each[-2:] for each in listening.asked if "after" in each] == ["20", "12", "=0"]


async def test_a_new_volume_forgets_the_last_round(make, watch, listening):
    listening.tells(make.status(records=1), make.record(1))
    seen, _ = watch()
    await seen.get()
    listening.tells(make.status(records=0))
    sight = await until(seen, lambda sight: sight.status.records == 0)
    assert (sight.last_round, sight.newest) == (None, None)


async def test_a_steward_that_goes_is_reported_once_logged_once_and_found_again(make, site, watch, monkeypatch, caplog):
    caplog.set_level(logging.INFO, "shieldwall")
    steward = make.Steward(site.server())
    steward.tells(make.status())
    async with steward.serving() as port:
        monkeypatch.setattr(ports, "STEWARD", port)
        seen, watches = watch()
        before = await until(seen, lambda sight: sight.without_certificate is not Probe.UNKNOWN)
    gone = await seen.get()
    assert not gone.reachable
    assert gone.seen >= before.seen
    for _ in range(5):
        watches.nudge("digits")
        await asyncio.sleep(0.02)
    assert seen.empty()
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    renewed = make.Steward(site.server())
    renewed.tells(make.status())
    async with renewed.serving(port):
        back = await seen.get()
        assert (back.reachable, back.server_serial) == (True, make.serial_of(renewed.credentials))
    assert [record.levelname for record in caplog.records] == ["WARNING", "INFO"]


async def test_one_broken_connection_is_no_failure(make, watch, listening):
    listening.tells(make.status())
    seen, _ = watch()
    await until(seen, lambda sight: sight.without_certificate is not Probe.UNKNOWN)
    connections = listening.connections
    listening.hang_up()
    await so(lambda: listening.connections > connections)
    listening.tells(make.status(message="Later."))
    assert (await seen.get()).reachable


async def test_nobody_who_never_answered_is_reported(watch, unused_port, monkeypatch, desk):
    monkeypatch.setattr(ports, "STEWARD", unused_port)
    seen, _ = watch()
    await so(lambda: desk.asked >= 5)
    assert seen.empty()


async def test_waits_grow_to_their_bound_and_a_nudge_ends_them(watch, unused_port, monkeypatch, desk, make):
    monkeypatch.setattr(ports, "STEWARD", unused_port)
    seen, watches = watch(Pace(first_wait=3600, longest_wait=3600))
    await so(lambda: desk.asked >= 1)
    steward = make.Steward(desk.site.server())
    steward.tells(make.status())
    async with steward.serving() as port:
        monkeypatch.setattr(ports, "STEWARD", port)
        await asyncio.sleep(0.05)
        assert seen.empty()
        watches.nudge("digits")
        assert (await seen.get()).reachable


async def test_its_leaf_is_renewed_before_it_ends(make, watch, listening, clock, desk):
    listening.tells(make.status())
    seen, _ = watch(Pace(active=0.01, session=1e9))
    await until(seen, lambda sight: sight.without_certificate is not Probe.UNKNOWN)
    assert desk.asked == 1
    clock.ahead = dt.timedelta(hours=17)  # past 2/3 of a day
    await so(lambda: len(set(listening.shown)) >= 2)
    assert desk.asked >= 2


async def test_while_the_server_has_to_serve_another_leaf_each_look_is_on_a_new_connection(make, watch, listening):
    """An open connection shows the certificate of its beginning. What the probes showed is believed meanwhile."""
    listening.tells(make.status())
    served = {make.serial_of(listening.credentials)}
    seen, _ = watch(current=lambda key, serial: serial in served)
    await until(seen, lambda sight: sight.without_certificate is not Probe.UNKNOWN)
    await so(lambda: len(listening.asked) >= 10)
    assert listening.connections == 2, "one more to confirm what the probes showed"
    renewed, served = served, set()
    await so(lambda: listening.connections >= 5)
    served = renewed
    assert seen.empty()


async def test_when_no_new_leaf_can_be_had_the_old_one_goes_on(make, watch, listening, clock, desk):
    listening.tells(make.status())
    seen, _ = watch(Pace(active=0.01, session=60, repeat=1e9))
    await until(seen, lambda sight: sight.without_certificate is not Probe.UNKNOWN)
    desk.broken = StewardUnreachableError("the API server is away")
    clock.ahead = dt.timedelta(seconds=61)
    await so(lambda: desk.asked >= 2)
    listening.tells(make.status(message="Later."))
    assert (await seen.get()).reachable
    assert len(set(listening.shown)) == 1


async def test_a_mistake_of_ours_does_not_end_the_watch(make, watch, listening, desk, caplog):
    listening.tells(make.status())
    desk.broken = KeyError("nobody thought of this")
    seen, _ = watch()
    await so(lambda: desk.asked >= 4)
    assert [(record.levelname, bool(record.exc_info)) for record in caplog.records] == [("WARNING", True)]
    desk.broken = None
    assert (await seen.get()).reachable


async def test_both_probes_are_made(make, watch, listening):
    listening.tells(make.status())
    seen, _ = watch()
    probed = await until(seen, lambda sight: sight.without_certificate is not Probe.UNKNOWN)
    assert (probed.without_certificate, probed.closed_port) == (Probe.REFUSED, Probe.REFUSED)


async def test_an_open_port_and_a_door_without_certificates_are_admitted(make, watch, steward, monkeypatch):
    steward.strict = False
    steward.tells(make.status())
    async with steward.serving() as port, steward.serving() as runtime:
        monkeypatch.setattr(ports, "STEWARD", port)
        seen, _ = watch()
        monkeypatch.setattr(ports, "RUNTIME", runtime)
        with monkeypatch.context() as patch:
            patch.setattr("shieldwall.control.steward.probes._ALERT_SECONDS", 0.05)
            probed = await until(seen, lambda sight: sight.without_certificate is not Probe.UNKNOWN)
    assert (probed.without_certificate, probed.closed_port) == (Probe.ADMITTED, Probe.ADMITTED)


async def test_a_probe_is_not_believed_when_the_steward_goes_with_it(make, site, watch, monkeypatch):
    """The server dies while it is probed: that its ports are closed says nothing."""
    probing = asyncio.Event()

    async def closed_port(where):
        probing.set()
        return Probe.REFUSED

    monkeypatch.setattr("shieldwall.control.steward.probes.closed_port", closed_port)
    steward = make.Steward(site.server())
    steward.tells(make.status())
    async with steward.serving() as port:
        monkeypatch.setattr(ports, "STEWARD", port)
        seen, _ = watch(Pace(active=0.2, first_wait=0.01, longest_wait=0.02))
        await seen.get()
        await probing.wait()
    gone = await until(seen, lambda sight: not sight.reachable)
    assert (gone.without_certificate, gone.closed_port) == (Probe.UNKNOWN, Probe.UNKNOWN)


async def test_a_probe_is_not_believed_while_only_an_old_connection_is_answered(make, watch, listening, monkeypatch):
    """New connections may fail for another reason than a policy, and an open one goes on."""
    listening.tells(make.status())
    opened, original = [], module.steward_api

    def only_every_other(where, context):
        opened.append(where)
        if len(opened) % 2 == 0:
            raise StewardUnreachableError("nobody opens")
        return original(where, context)

    monkeypatch.setattr(module, "steward_api", only_every_other)
    seen, _ = watch()
    await so(lambda: len(opened) >= 5)
    sights = [seen.get_nowait() for _ in range(seen.qsize())]
    assert sights
    assert {(each.without_certificate, each.closed_port) for each in sights} == {(Probe.UNKNOWN, Probe.UNKNOWN)}


async def test_an_ended_training_is_asked_less_often(make, watch, listening):
    listening.tells(make.status(Phase.COMPLETED))
    seen, _ = watch(Pace(active=0.01, over=3600))
    await until(seen, lambda sight: sight.without_certificate is not Probe.UNKNOWN)
    before = len(listening.asked)
    await asyncio.sleep(0.1)
    assert len(listening.asked) == before


async def test_stopped_watches_say_nothing_and_may_start_again(make, watch, listening):
    listening.tells(make.status())
    seen, watches = watch()
    await seen.get()
    watches.start("digits")  # runs already
    assert len(watches) == 1
    watches.stop("digits")
    watches.stop("digits")
    assert "digits" not in watches
    while not seen.empty():
        seen.get_nowait()
    listening.tells(make.status(message="Later."))
    await asyncio.sleep(0.05)
    assert seen.empty()
    watches.start("digits")
    assert (await seen.get()).status.message == "Later."


@handshakes_are_cancelled
async def test_one_namespace_takes_two_turns_and_not_more(make, site, steward, monkeypatch, desk):
    """Ten trainings of one namespace whose servers take connections and say nothing."""
    steward.tells(make.status())
    seen = asyncio.Queue()
    loop = asyncio.get_running_loop()
    watches = StewardWatches(
        resolve=lambda key: dataclasses.replace(site.where, address="127.0.0.1" if key[0] == "good" else "127.0.0.2"),
        credentials=desk,
        report=lambda key, sight: seen.put_nowait((key, sight)),
        clock=lambda: dt.datetime.now(dt.UTC),
        jitter=lambda: 0.5,
        pace=Pace(active=0.01),
        group=lambda key: key[0],
    )
    with socket.create_server(("127.0.0.2", 0)) as silent, contextlib.ExitStack() as held:
        silent.setblocking(False)  # the standard library's signature
        async with steward.serving(silent.getsockname()[1]) as port:
            monkeypatch.setattr(ports, "STEWARD", port)
            for number in range(10):
                watches.start(("bad", str(number)))
            for _ in range(2):
                held.enter_context((await loop.sock_accept(silent))[0])
            watches.start(("good", "0"))
            assert (await seen.get())[0] == ("good", "0")
            await so(lambda: desk.asked >= 11)
            await asyncio.sleep(0.05)
            with pytest.raises(BlockingIOError):
                silent.accept()
            await watches.close()
    gc.collect()


@handshakes_are_cancelled
async def test_no_more_are_in_flight_than_allowed_and_the_silent_hold_up_nobody(make, site, steward, monkeypatch, desk):
    """Twenty trainings whose server takes connections and says nothing, and one that answers, with one turn."""
    steward.tells(make.status())
    seen = asyncio.Queue()
    loop = asyncio.get_running_loop()
    watches = StewardWatches(
        resolve=lambda key: dataclasses.replace(site.where, address="127.0.0.1" if key == "healthy" else "127.0.0.2"),
        credentials=desk,
        report=lambda key, sight: seen.put_nowait((key, sight)),
        clock=lambda: dt.datetime.now(dt.UTC),
        jitter=lambda: 0.5,
        pace=Pace(active=0.01),
        in_flight=1,
    )
    with socket.create_server(("127.0.0.2", 0)) as silent, contextlib.ExitStack() as held:
        silent.setblocking(False)  # the standard library's signature
        async with steward.serving(silent.getsockname()[1]) as port:
            monkeypatch.setattr(ports, "STEWARD", port)
            watches.start("healthy")
            await seen.get()
            for number in range(20):
                watches.start(number)
            for _ in range(16):
                held.enter_context((await loop.sock_accept(silent))[0])
            steward.tells(make.status(message="Later."))
            while (await seen.get())[1].status.message != "Later.":
                pass
            with pytest.raises(BlockingIOError):
                silent.accept()
            await watches.close()
    gc.collect()
