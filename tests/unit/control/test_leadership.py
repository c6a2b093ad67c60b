"""The lease, in simulated time: no two act at once, whatever happens on the way to it."""

import asyncio
import copy
import types

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kubernetes.aio.leaderelection import leaderelection

from shieldwall.control.cluster.errors import ApiError, ApiUnreachableError
from shieldwall.control.cluster.leadership import Seat, Terms, lead, resign

from .conftest import simulate

TERMS = Terms()
NAME = "shieldwall-operator"


class Leases:
    """One Lease behind a bad line: each request takes its time before and after it is done, or is lost on a side."""

    def __init__(self, loop, line=()):
        self._loop = loop
        self._line = list(line)
        self.version = 0
        self.lease = None
        self.writes = []
        self.asked = []

    async def _way(self, request):
        self.asked.append((self._loop.time(), request))
        there, back, fate = self._line.pop(0) if self._line else (0.01, 0.01, "fine")
        await asyncio.sleep(there)
        if fate == "lost":
            raise ApiUnreachableError("lost on the way there")
        return back, fate

    async def _answered(self, back, fate):
        await asyncio.sleep(back)
        if fate == "unheard":
            raise ApiUnreachableError("lost on the way back")
        if fate == "refused":
            raise ApiError(500, "InternalError", "etcd is slow")
        return copy.deepcopy(self.lease)

    async def get(self, kind, namespace, name):
        back, fate = await self._way("get")
        if self.lease is None:
            raise ApiError(404, "NotFound", "no such lease")
        return await self._answered(back, fate)

    async def create(self, kind, body, manager):
        back, fate = await self._way("create")
        if self.lease is not None:
            raise ApiError(409, "AlreadyExists", "there is one")
        self._write(body)
        return await self._answered(back, fate)

    async def replace(self, kind, body, manager):
        back, fate = await self._way("replace")
        if body["metadata"]["resourceVersion"] != str(self.version):
            raise ApiError(409, "Conflict", "another was first")
        self._write(body)
        return await self._answered(back, fate)

    def _write(self, body):
        self.version += 1
        metadata = {**body["metadata"], "resourceVersion": str(self.version)}
        self.lease = {**copy.deepcopy(body), "metadata": metadata}
        self.writes.append((self._loop.time(), body["spec"]["holderIdentity"]))


@pytest.fixture(autouse=True)
def library_time(monkeypatch):
    """The library reads the wall clock."""
    monkeypatch.setattr(leaderelection, "time", types.SimpleNamespace(time=lambda: asyncio.get_running_loop().time()))


def seat(identity):
    return Seat("ops", NAME, identity)


class Acts:
    """What the leaders did: each acts from when its work begins until it has ended."""

    def __init__(self, loop, ending=0.0):
        self._loop = loop
        self._ending = ending
        self.acting = set()
        self.spans = []

    def work(self, identity):
        async def act():
            assert not self.acting, f"{identity} acts beside {self.acting}"
            self.acting.add(identity)
            self.spans.append(identity)
            try:
                await asyncio.Event().wait()
            finally:
                await asyncio.sleep(self._ending)  # a second cancellation would show: it stays acting
                self.acting.discard(identity)

        return act


FATES = st.sampled_from(["fine", "fine", "fine", "lost", "unheard", "refused"])
TIMES = st.one_of(st.just(0.01), st.floats(0.0, 3.5), st.just(100.0))
LINES = st.lists(st.tuples(TIMES, TIMES, FATES), max_size=60)


@settings(max_examples=100, deadline=None)
@given(LINES, LINES, st.floats(0, 20), st.floats(0, 3))
def test_two_replicas_never_act_at_once(one, two, later, ending):
    """Each has a bad line of its own to the one lease; a replica that loses it begins anew, as a pod does."""

    async def main(loop):
        truth = Leases(loop)
        acts = Acts(loop, ending)

        class Own(Leases):
            lease = property(lambda _: truth.lease, lambda _, value: setattr(truth, "lease", value))
            version = property(lambda _: truth.version, lambda _, value: setattr(truth, "version", value))

            def __init__(self, line):
                self._loop, self._line, self.writes, self.asked = loop, list(line), [], []

        async def replica(identity, line, wait):
            api = Own(line)
            await asyncio.sleep(wait)
            for life in range(20):
                await lead(api, seat(f"{identity}-{life}"), TERMS, acts.work(f"{identity}-{life}"))
                assert f"{identity}-{life}" not in acts.acting, "its work has ended before lead returned"

        replicas = [asyncio.create_task(replica("a", one, 0)), asyncio.create_task(replica("b", two, later))]
        done, _ = await asyncio.wait(replicas, timeout=400)
        for task in done:
            task.result()
        assert acts.spans, "somebody leads in the end"
        for task in replicas:
            task.cancel()
        await asyncio.wait(replicas)
        assert not acts.acting

    simulate(main)


def test_a_free_lease_is_taken_at_once_and_counted():
    async def main(loop):
        leases, acts = Leases(loop), Acts(loop)
        leading = asyncio.create_task(lead(leases, seat("a"), TERMS, acts.work("a")))
        await asyncio.sleep(1)
        assert acts.acting == {"a"}
        spec = leases.lease["spec"]
        assert spec["holderIdentity"] == "a"
        assert spec["leaseDurationSeconds"] == 15
        assert spec["leaseTransitions"] == 0
        assert spec["renewTime"].endswith("Z")
        leading.cancel()
        await asyncio.wait({leading})
        assert not acts.acting

    simulate(main)


def test_every_write_names_the_version_that_was_read():
    """Two that read the same expired lease: one gets it."""

    async def main(loop):
        leases, acts = Leases(loop), Acts(loop)
        tasks = [asyncio.create_task(lead(leases, seat(each), TERMS, acts.work(each))) for each in "abc"]
        await asyncio.sleep(100)
        assert len(acts.acting) == 1
        assert {holder for _, holder in leases.writes} == acts.acting
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)

    simulate(main)


@pytest.mark.parametrize(
    "line", [(100.0, 0.0, "fine"), (2.9, 2.9, "lost"), (0.0, 0.0, "refused"), (2.9, 0.2, "unheard")]
)
def test_a_leader_that_cannot_renew_has_ended_its_work_before_the_lease_has(line):
    async def main(loop):
        leases, acts = Leases(loop), Acts(loop)
        leading = asyncio.create_task(lead(leases, seat("a"), TERMS, acts.work("a")))
        await asyncio.sleep(5)
        assert acts.acting == {"a"}
        leases._line = [line] * 100
        await asyncio.wait({leading}, timeout=60)
        assert leading.done()
        leading.result()
        last = max(time for time, _ in leases.writes)
        assert not acts.acting
        assert loop.time() <= last + TERMS.deadline + 0.1

    simulate(main)


def test_a_replica_that_waits_gives_up_on_a_request_in_time_and_asks_again():
    async def main(loop):
        leases, acts = Leases(loop, [(1000.0, 0.0, "fine")] * 3), Acts(loop)
        leading = asyncio.create_task(lead(leases, seat("a"), TERMS, acts.work("a")))
        await asyncio.sleep(30)
        assert acts.acting == {"a"}
        times = [time for time, _ in leases.asked]
        assert times[1] - times[0] == pytest.approx(TERMS.retry + 1 + TERMS.retry)
        leading.cancel()
        await asyncio.wait({leading})

    simulate(main)


def test_work_that_ends_ends_the_leading_and_what_it_raised_is_raised():
    async def main(loop):
        leases = Leases(loop)

        async def broken():
            await asyncio.sleep(3)
            raise RuntimeError("a mistake")

        with pytest.raises(RuntimeError, match="a mistake"):
            await lead(leases, seat("a"), TERMS, broken)

        async def short():
            await asyncio.sleep(3)

        await lead(leases, seat("a"), TERMS, short)
        before = len(leases.asked)
        await asyncio.sleep(100)
        assert len(leases.asked) == before, "nobody renews any more"

    simulate(main)


@pytest.mark.parametrize("steps", range(40))
def test_cancelled_at_any_moment_no_work_is_left(steps):
    async def main(loop):
        acts = Acts(loop)
        leading = asyncio.create_task(lead(Leases(loop, [(0, 0, "fine")] * 5), seat("a"), TERMS, acts.work("a")))
        for _ in range(steps):
            await asyncio.sleep(0)
        leading.cancel()
        await asyncio.wait({leading})
        assert not acts.acting
        await asyncio.sleep(100)
        assert not acts.acting
        assert len(asyncio.all_tasks()) == 1

    simulate(main)


def test_a_lease_that_was_given_back_is_taken_at_once():
    async def main(loop):
        leases, acts = Leases(loop), Acts(loop)
        one = asyncio.create_task(lead(leases, seat("a"), TERMS, acts.work("a")))
        await asyncio.sleep(1)
        two = asyncio.create_task(lead(leases, seat("b"), TERMS, acts.work("b")))
        await asyncio.sleep(10)
        assert acts.acting == {"a"}
        one.cancel()
        await asyncio.wait({one})
        await resign(leases, seat("a"))
        began = loop.time()
        while acts.acting != {"b"}:
            await asyncio.sleep(0.1)
        assert loop.time() - began <= TERMS.retry + 0.2
        assert leases.lease["spec"]["leaseTransitions"] == 1
        two.cancel()
        await asyncio.wait({two})

    simulate(main)


def test_only_ones_own_lease_is_given_back():
    async def main(loop):
        leases, acts = Leases(loop), Acts(loop)
        one = asyncio.create_task(lead(leases, seat("a"), TERMS, acts.work("a")))
        await asyncio.sleep(1)
        before = len(leases.writes)
        await resign(leases, seat("b"))
        assert len(leases.writes) == before
        one.cancel()
        await asyncio.wait({one})
        leases._line = [(0, 0, "lost")]
        await resign(leases, seat("a"))  # says so, and does not raise

    simulate(main)
