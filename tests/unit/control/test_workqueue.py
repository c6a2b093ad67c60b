"""What client-go's queue promises, for every order of calls."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shieldwall.control.workqueue import WorkQueue

from .conftest import simulate

KEYS = st.sampled_from("abc")
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("add"), KEYS, st.just(0.0)),
        st.tuples(st.just("later"), KEYS, st.floats(0.0, 5.0)),
        st.tuples(st.just("wait"), KEYS, st.floats(0.0, 5.0)),
    ),
    max_size=40,
)


def queue_of(jitter=0.5):
    return WorkQueue(lambda: jitter)


async def soon(queue, seconds=0.0):
    """The next key within ``seconds`` of the loop's time; None when there is none."""
    try:
        async with asyncio.timeout(seconds):
            return await queue.get()
    except TimeoutError:
        return None


@given(STEPS, st.integers(1, 4), st.floats(0.1, 3.0), st.booleans())
def test_no_key_is_lost_and_none_is_worked_on_twice_at_a_time(steps, workers, pace, failing):
    """The last word on a key is always followed by a whole pass that began after it."""

    async def main(loop):
        queue, busy, began, asked = queue_of(), set(), {}, {}

        async def work():
            while True:
                key = await queue.get()
                assert key not in busy
                busy.add(key)
                began[key] = loop.time()
                await asyncio.sleep(pace)
                busy.discard(key)
                if failing and key == "a" and queue.retries < 3:
                    queue.failed(key)
                else:
                    queue.done(key)

        tasks = [asyncio.create_task(work()) for _ in range(workers)]
        for step, key, seconds in steps:
            if step == "add":
                asked[key] = loop.time()
                queue.add(key)
            elif step == "later":
                asked.setdefault(key, loop.time())
                queue.add_after(key, seconds)
            else:
                await asyncio.sleep(seconds)
        await asyncio.sleep(1000)
        assert not any(task.done() for task in tasks), [task.exception() for task in tasks if task.done()]
        assert len(queue) == 0
        assert set(began) == set(asked)
        assert all(began[key] >= asked[key] for key in asked)

    simulate(main)


def test_added_twice_while_it_waits_it_comes_once():
    async def main(_loop):
        queue = queue_of()
        queue.add("a")
        queue.add("a")
        assert len(queue) == 1
        queue.done(await queue.get())
        assert await soon(queue, 1000) is None

    simulate(main)


def test_added_while_it_is_worked_on_it_comes_again_afterwards():
    async def main(_loop):
        queue = queue_of()
        queue.add("a")
        assert await queue.get() == "a"
        queue.add("a")
        assert await soon(queue, 1000) is None
        queue.done("a")
        assert await soon(queue) == "a"

    simulate(main)


@pytest.mark.parametrize(("first", "second"), [(30, 5), (5, 30)])
def test_the_earlier_of_two_times_wins(first, second):
    async def main(loop):
        queue = queue_of()
        queue.add_after("a", first)
        queue.add_after("a", second)
        assert await soon(queue, 100) == "a"
        assert loop.time() == 5
        queue.done("a")
        assert await soon(queue, 100) is None, "the later one has no word any more"

    simulate(main)


def test_an_event_wins_over_a_time_and_drops_it():
    async def main(loop):
        queue = queue_of()
        queue.add_after("a", 50)
        queue.add("a")
        assert await soon(queue) == "a"
        queue.done("a")
        assert await soon(queue, 100) is None
        assert loop.time() == 100

    simulate(main)


@given(st.floats(0, 1, exclude_max=True))
def test_waits_double_up_to_two_minutes_spread_by_a_quarter(jitter):
    async def main(loop):
        queue = queue_of(jitter)
        queue.add("a")
        expected = 0.5
        for _ in range(40):
            assert await soon(queue, 1000) == "a"
            began = loop.time()
            wait = queue.failed("a")
            assert wait == pytest.approx(expected * (0.75 + 0.5 * jitter))
            assert 0.75 * expected <= wait <= 1.25 * expected
            assert await soon(queue, 1000) == "a"
            assert loop.time() - began == pytest.approx(wait)
            queue._busy.discard("a")  # given back as if it had never been taken
            queue.add("a")
            expected = min(expected * 2, 120.0)

    simulate(main)


def test_after_a_success_waits_begin_anew():
    async def main(_loop):
        queue = queue_of()
        waits = []
        for end in (queue.failed, queue.failed, queue.done, queue.failed):
            queue.add("a")
            assert await queue.get() == "a"
            waits.append(end("a"))
        assert waits == [0.5, 1.0, None, 0.5]
        assert queue.retries == 3

    simulate(main)


def test_done_with_a_time_comes_again_then():
    async def main(loop):
        queue = queue_of()
        queue.add("a")
        queue.done(await queue.get(), 60.0)
        assert await soon(queue, 100) == "a"
        assert loop.time() == 60

    simulate(main)


def test_closed_it_gives_nothing_more():
    async def main(_loop):
        queue = queue_of()
        queue.add("a")
        queue.add("b")
        assert await queue.get() == "a"
        queue.add("a")
        queue.add_after("c", 1)
        queue.close()
        queue.done("a", 5.0)
        queue.add("d")
        assert await soon(queue, 1000) is None
        assert len(queue) == 0

    simulate(main)
