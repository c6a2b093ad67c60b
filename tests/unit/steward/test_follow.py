"""The follower against a scripted SuperLink: registration, start, restarts, losses."""

from __future__ import annotations

import asyncio

import pytest

from shieldwall.contract.records import Outcome, Phase
from shieldwall.runtime.steward.flower import (
    Node,
    Run,
    RunStage,
    SuperLinkRefusedError,
    SuperLinkUnreachableError,
)
from shieldwall.runtime.steward.follow import Follower
from shieldwall.runtime.steward.handshakes import ProxyUnreachableError
from shieldwall.runtime.steward.office import Office

from .test_tally import record


class SuperLink:
    """A SuperLink in memory."""

    def __init__(self):
        self.ids = {}
        self.awake = set()
        self.listed = []
        self.down = False
        self.refuses = ""
        self.forgets_to_answer = False
        self.calls = []

    async def nodes(self):
        self._up()
        return tuple(Node(node_id, key, key in self.awake) for key, node_id in self.ids.items())

    async def register(self, key, name):
        self._up()
        self.calls.append(f"register {name}")
        if name == self.refuses:
            raise SuperLinkRefusedError(409, "public key already in use")
        self.ids[key] = 100 + len(self.ids)
        return self.ids[key]

    async def runs(self):
        self._up()
        return tuple(reversed(self.listed))

    async def start_run(self, fab):
        self._up()
        self.calls.append(f"start {fab.decode()}")
        if self.refuses == "run":
            raise SuperLinkRefusedError(400, "invalid configuration")
        self.listed.append(Run(str(len(self.listed) + 1), RunStage.RUNNING, "", ""))
        if self.forgets_to_answer:
            raise SuperLinkUnreachableError("timed out")
        return self.listed[-1].run_id

    def finish(self, result="failed"):
        last = self.listed[-1]
        self.listed[-1] = Run(last.run_id, RunStage.FINISHED, result, "")

    def _up(self):
        if self.down:
            raise SuperLinkUnreachableError("refused")


class Clock:
    def __init__(self, now):
        self.now = now

    def __call__(self):
        return self.now


@pytest.fixture
def link():
    return SuperLink()


@pytest.fixture
def clock(world):
    return Clock(world.now)


async def no_handshakes():
    return {"fleet.untrusted": 1}


@pytest.fixture
def follower(world, tmp_path, link, clock):
    return Follower(Office(world.policy(), tmp_path), link, b"fab", no_handshakes, clock)


def wake(world, link, *names):
    link.awake = {world.public(name) for name in names}


async def test_it_registers_every_client_once_and_waits_for_them(follower, link):
    await follower.look()
    await follower.look()
    assert link.calls == ["register berlin", "register paris", "register rome"]
    office = follower._office
    assert office.phase is Phase.WAITING
    assert sorted(member.node_id for member in office.registry.members.values()) == [100, 101, 102]
    assert office.handshakes == {"fleet.untrusted": 1}


async def test_it_starts_the_run_when_all_are_there_and_remembers_it(follower, link, world, tmp_path):
    await follower.look()
    wake(world, link, "berlin", "paris", "rome")
    await follower.look()
    assert link.calls[-1] == "start fab"
    assert follower._office.run.current == "1"
    assert Office(world.policy(), tmp_path).run.current == "1"
    await follower.look()
    assert follower._office.phase is Phase.TRAINING
    assert link.calls.count("start fab") == 1


async def test_a_restarted_steward_follows_the_same_run(follower, link, world, tmp_path, clock):
    await follower.look()
    wake(world, link, "berlin", "paris", "rome")
    await follower.look()
    again = Follower(Office(world.policy(), tmp_path), link, b"fab", no_handshakes, clock)
    await again.look()
    assert again._office.phase is Phase.TRAINING
    assert link.calls.count("start fab") == 1
    assert link.calls.count("register berlin") == 1


async def test_a_start_whose_answer_was_lost_is_not_repeated(follower, link, world):
    await follower.look()
    wake(world, link, "berlin", "paris", "rome")
    link.forgets_to_answer = True
    await follower.look()
    assert follower._office.run.current is None
    await follower.look()
    assert (follower._office.run.current, follower._office.phase) == ("1", Phase.TRAINING)
    assert link.calls.count("start fab") == 1


async def test_a_failed_run_is_continued_after_a_while(follower, link, world, clock):
    await follower.look()
    wake(world, link, "berlin", "paris", "rome")
    await follower.look()
    link.finish()
    await follower.look()
    assert link.calls.count("start fab") == 1
    clock.now += 1
    await follower.look()
    assert link.calls.count("start fab") == 2
    assert follower._office.run.runs == ("1", "2")


async def test_a_lost_database_heals(follower, link, world, clock):
    await follower.look()
    wake(world, link, "berlin", "paris", "rome")
    await follower.look()
    link.ids, link.listed = {}, []
    await follower.look()
    assert link.calls.count("register rome") == 2
    clock.now += 1
    await follower.look()
    assert link.calls.count("start fab") == 2


async def test_a_silent_superlink_is_waited_for_and_forgets_nobody(follower, link):
    await follower.look()
    link.down = True
    await follower.look()
    office = follower._office
    assert office.phase is Phase.STARTING
    assert not office.registry.unregistered()


async def test_one_refused_key_does_not_keep_the_others_out(follower, link, world, clock):
    link.refuses = "berlin"
    await follower.look()
    assert [member.client for member in follower._office.registry.unregistered()] == ["berlin"]
    wake(world, link, "paris", "rome")
    await follower.look()
    clock.now += 10
    await follower.look()
    assert link.calls[-1] == "start fab"


async def test_a_refused_run_is_tried_again_and_then_given_up(follower, link, world, clock):
    await follower.look()
    wake(world, link, "berlin", "paris", "rome")
    link.refuses = "run"
    for _ in range(20):
        await follower.look()
        clock.now += 30
    assert follower._office.phase is Phase.FAILED
    assert "invalid configuration" in follower._office.message
    assert link.calls.count("start fab") == 5


async def test_a_silent_proxy_costs_nothing_but_its_counters(world, tmp_path, link, clock):
    async def silent():
        raise ProxyUnreachableError("refused")

    follower = Follower(Office(world.policy(), tmp_path), link, b"fab", silent, clock)
    await follower.look()
    assert follower._office.handshakes == {}


async def test_health_is_that_it_still_looks(follower, clock):
    assert follower.healthy
    clock.now += 61
    assert not follower.healthy
    await follower.look()
    assert follower.healthy


async def test_it_looks_until_it_is_cancelled(follower, link):
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(follower.run(), 0.05)
    assert link.calls


@pytest.fixture
def wrapped(world, tmp_path, link, clock):
    """Makes followers of a wrapped app, one after the other on the same volume."""
    policy = world.policy()
    policy = policy.model_copy(update={"app": policy.app.model_copy(update={"server_app": "digits.server:app"})})

    def made(policy_sha256):
        return Follower(Office(policy, tmp_path, policy_sha256), link, b"fab", no_handshakes, clock)

    return made


async def test_a_wrapped_app_whose_rounds_were_all_skipped_has_failed_until_the_policy_changes(wrapped, link, world):
    follower = wrapped("a")
    await follower.look()
    wake(world, link, *world.clients)
    await follower.look()
    for number in (1, 2):
        follower._office.close_round(record(number, Outcome.SKIPPED, run_id="1"))
    link.finish("completed")
    await follower.look()
    assert follower._office.phase is Phase.FAILED
    assert "in round 2, 1 reply was admitted where 2 are needed" in follower._office.message
    assert follower._office.status().lost == 2

    again = wrapped("a")
    await again.look()
    assert again._office.phase is Phase.FAILED
    changed = wrapped("b")
    for _ in range(3):
        await changed.look()
        changed._clock.now += 10
    assert link.calls.count("start fab") == 2


async def test_of_a_wrapped_app_the_last_runs_rounds_are_told_and_of_a_managed_training_all(wrapped, follower):
    wrapped_office, managed_office = wrapped("a")._office, follower._office
    for office in (wrapped_office, managed_office):
        office.remember(office.run.started("1", 0).started("2", 0))
        office.close_round(record(1, Outcome.SKIPPED, run_id="1"))
        office.close_round(record(2, Outcome.RELEASED, run_id="1"))
        office.close_round(record(3, Outcome.RELEASED, run_id="2"))
    assert (wrapped_office.tally.released, wrapped_office.tally.lost) == (1, 0)
    assert (managed_office.tally.released, managed_office.tally.lost) == (2, 1)
