"""What the worker does when a pass, or the whole cluster, fails; in simulated time."""

import asyncio
import logging
from datetime import timedelta

import pytest

from shieldwall.control.cluster.errors import ApiError, ApiUnreachableError
from shieldwall.control.metrics import Metrics
from shieldwall.control.reconcile import Outcome, Verdict
from shieldwall.control.worker import Line, Worker
from shieldwall.control.workqueue import WorkQueue

from .conftest import simulate

FINE = Verdict(Outcome.OK)
A, B = ("fed", "a"), ("fed", "b")


class Passes:
    """What passes come to, by key; the last word holds."""

    def __init__(self, loop, **words):
        self._loop = loop
        self._words = {("fed", name): list(each) for name, each in words.items()}
        self.done = []

    async def reconcile(self, key):
        self.done.append((key, self._loop.time()))
        words = self._words.get(key, [FINE])
        word = words.pop(0) if len(words) > 1 else words[0]
        if isinstance(word, BaseException):
            raise word
        if isinstance(word, float):
            await asyncio.sleep(word)
            return FINE
        return word

    def times(self, key):
        return [time for each, time in self.done if each == key]


class Lists:
    def __init__(self, *words, keys=(A, B)):
        self._words = list(words)
        self._keys = keys
        self.count = 0

    async def due(self, seconds):
        await asyncio.sleep(seconds)

    async def everything(self):
        self.count += 1
        if self._words:
            raise self._words.pop(0)
        return frozenset(self._keys)


def run(script, lists=None, *, workers=2, relist=300.0, **words):
    """Let a worker run while ``script(passes, worker, queue)`` looks on."""

    async def main(loop):
        queue = WorkQueue(lambda: 0.5)
        metrics = Metrics(lambda: len(queue), lambda: queue.retries)
        passes = Passes(loop, **words)
        worker = Worker(queue, passes, lists or Lists(), metrics, workers=workers, relist_seconds=relist)
        working = asyncio.create_task(worker.run())
        await script(passes, worker, queue)
        assert not working.done(), "the worker has ended"
        assert leading(metrics) == 1
        working.cancel()
        await asyncio.wait({working})
        assert leading(metrics) == 0
        return metrics

    return simulate(main)


def leading(metrics):
    return metrics.registry.get_sample_value("shieldwall_operator_leader")


def count(metrics, outcome):
    return metrics.registry.get_sample_value("shieldwall_reconcile_seconds_count", {"outcome": outcome})


@pytest.mark.parametrize(
    "error", [ApiUnreachableError("away"), ApiError(500, "Internal", "etcd"), ApiError(403, "Forbidden", "no")]
)
def test_nothing_is_worked_on_before_everything_was_listed(error):
    async def script(passes, worker, queue):
        queue.add(A)
        await asyncio.sleep(7)
        assert passes.done == []
        assert not worker.synced.is_set()
        await asyncio.sleep(10)
        assert worker.synced.is_set()
        assert {key for key, _ in passes.done} == {A, B}
        assert len(passes.times(A)) == 1

    run(script, Lists(*[error] * 4))


def test_everything_is_listed_again_and_every_training_looked_at():
    lists = Lists()

    async def script(passes, worker, queue):
        await asyncio.sleep(910)
        assert lists.count == 4
        assert len(passes.times(A)) == 4

    run(script, lists)


def test_who_stands_by_lists_now_and_then_and_keeps_nothing_in_its_queues():
    """Else everything that ever was would wait there, until the other replica goes."""
    lists = Lists(ApiUnreachableError("away"))

    async def main(loop):
        queue, beside = WorkQueue(lambda: 0.5), WorkQueue(lambda: 0.5)
        metrics = Metrics(lambda: len(queue), lambda: queue.retries)
        line = Line(beside, Passes(loop), lambda: [A])
        worker = Worker(queue, Passes(loop), lists, metrics, workers=1, relist_seconds=300.0, beside=[line])
        standing_by = asyncio.create_task(worker.stand_by())
        for one in (queue, beside):
            one.add(A)
            one.add_after(B, 1000)
        await asyncio.sleep(299)
        assert (lists.count, len(queue), len(beside)) == (0, 1, 1)
        await asyncio.sleep(10)
        assert (lists.count, len(queue), len(beside)) == (2, 0, 0)
        await asyncio.sleep(1000)
        assert (len(queue), len(beside)) == (0, 0), "nor what would have come later"
        queue.add(A)
        assert await queue.get() == A, "who leads next goes on with the same queue"
        assert leading(metrics) == 0
        standing_by.cancel()
        await asyncio.wait({standing_by})

    simulate(main)


@pytest.mark.parametrize("error", [ApiError(409, "Conflict", "no"), ApiUnreachableError("away"), RuntimeError("ours")])
def test_one_training_that_fails_for_ever_costs_the_others_nothing(error):
    async def script(passes, worker, queue):
        await asyncio.sleep(290)
        assert 8 <= len(passes.times(A)) <= 11, "0.5 s, doubled up to two minutes"
        waits = [later - sooner for sooner, later in zip(passes.times(A), passes.times(A)[1:], strict=False)]
        assert waits[:4] == pytest.approx([0.5, 1, 2, 4])
        assert passes.times(B) == [0.0]
        queue.add(B)
        await asyncio.sleep(0.001)
        assert len(passes.times(B)) == 2

    metrics = run(script, a=[error])
    assert count(metrics, "retry") >= 8
    assert count(metrics, "ok") == 2


def test_a_mistake_of_ours_is_told_with_where_it_was(caplog):
    async def script(passes, worker, queue):
        await asyncio.sleep(1)

    with caplog.at_level(logging.WARNING):
        run(script, a=[ZeroDivisionError("oops"), FINE])
    assert "fed/a: a mistake of ours" in caplog.text
    assert "ZeroDivisionError" in caplog.text


def test_a_training_that_takes_long_holds_up_one_worker_only():
    async def script(passes, worker, queue):
        await asyncio.sleep(50)
        queue.add(B)
        await asyncio.sleep(0.001)
        assert len(passes.times(B)) == 2
        queue.add(A)
        await asyncio.sleep(100)
        assert len(passes.times(A)) == 1, "never twice at a time"

    run(script, a=[200.0])


def test_a_pass_says_when_to_come_again():
    async def script(passes, worker, queue):
        await asyncio.sleep(250)
        assert passes.times(A) == [0.0, 60.0, 120.0, 180.0, 240.0]
        assert passes.times(B)[:4] == [0.0, 0.5, 1.5, 3.5], "put off as a failure is"

    metrics = run(
        script, a=[Verdict(Outcome.STALLED, timedelta(minutes=1))], b=[Verdict(Outcome.RETRY, timedelta(seconds=2))]
    )
    assert count(metrics, "stalled") == 5
    assert count(metrics, "retry") > 5
