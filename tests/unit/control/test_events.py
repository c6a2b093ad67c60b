"""Events: once an hour, named by what they say, and never in the way."""

from dataclasses import replace
from datetime import timedelta

import pytest

from shieldwall.control.cluster.errors import ApiError, ApiUnreachableError
from shieldwall.control.cluster.events import Occurrence, Recorder, Subject

from .conftest import NOW

SUBJECT = Subject("fed", "digits", "uid-1")
WHAT = Occurrence("RollingOut", "Ready", "Pods are being brought to the spec.")


class Posts:
    def __init__(self, *errors):
        self.bodies = []
        self._errors = list(errors)

    async def create(self, kind, body, manager):
        self.bodies.append(body)
        if self._errors:
            raise self._errors.pop(0)
        return body


async def test_the_same_event_is_posted_once_an_hour():
    posts = Posts()
    recorder = Recorder(posts, "pod")
    for minutes in (0, 1, 59, 60, 61):
        await recorder.record(SUBJECT, WHAT, NOW + timedelta(minutes=minutes))
    assert [body["eventTime"][11:16] for body in posts.bodies] == ["12:00", "13:00"]
    assert len({body["metadata"]["name"] for body in posts.bodies}) == 2


@pytest.mark.parametrize("other", [
    {"reason": "Failed"}, {"note": "Something else."}, {"type": "Warning"}, {"facts": "abcd"},
])  # fmt: skip
async def test_another_event_is_another(other):
    posts = Posts()
    recorder = Recorder(posts, "pod")
    await recorder.record(SUBJECT, WHAT, NOW)
    await recorder.record(SUBJECT, replace(WHAT, **other), NOW)
    await recorder.record(replace(SUBJECT, uid="uid-2"), WHAT, NOW)
    assert len({body["metadata"]["name"] for body in posts.bodies}) == 3


async def test_the_next_leader_does_not_repeat_it(caplog):
    """Its name is the same, so the API server says that there is one; and nobody asks again."""
    posts = Posts(ApiError(409, "AlreadyExists", "there is one"))
    one, two = Recorder(Posts(), "one"), Recorder(posts, "two")
    await one.record(SUBJECT, WHAT, NOW)
    for _ in range(3):
        await two.record(SUBJECT, WHAT, NOW)
    assert len(posts.bodies) == 1
    assert not caplog.records
    assert posts.bodies[0]["metadata"]["name"] == one._api.bodies[0]["metadata"]["name"]


@pytest.mark.parametrize("error", [ApiError(403, "Forbidden", "no"), ApiUnreachableError("away")])
async def test_an_event_that_cannot_be_posted_is_logged_and_nothing_else(error, caplog):
    await Recorder(Posts(error), "pod").record(SUBJECT, WHAT, NOW)
    assert "event RollingOut on fed/digits" in caplog.text


async def test_one_that_did_not_arrive_is_posted_the_next_time():
    posts = Posts(ApiUnreachableError("away"))
    recorder = Recorder(posts, "pod")
    await recorder.record(SUBJECT, WHAT, NOW)
    await recorder.record(SUBJECT, WHAT, NOW)
    assert len(posts.bodies) == 2


async def test_it_says_about_whom_and_fits():
    posts = Posts()
    await Recorder(posts, "p" * 200).record(SUBJECT, replace(WHAT, note="x" * 5000), NOW)
    body = posts.bodies[0]
    assert body["regarding"]["uid"] == "uid-1"
    assert body["regarding"]["kind"] == "FederatedTraining"
    assert len(body["note"]) == 1024
    assert len(body["reportingInstance"]) == 128
    assert body["metadata"]["name"].startswith("digits.")


async def test_it_remembers_no_more_than_an_hour():
    recorder = Recorder(Posts(), "pod")
    for hour in range(50):
        await recorder.record(SUBJECT, WHAT, NOW + timedelta(hours=hour))
    assert len(recorder._posted) == 1


def numbered(number):
    return replace(WHAT, note=f"Certificates were issued: {number}.")


async def test_one_training_causes_no_flood(caplog):
    """Whoever may change a training may make it say something new at every pass."""
    posts = Posts()
    recorder = Recorder(posts, "pod")
    for number in range(100):
        await recorder.record(SUBJECT, numbered(number), NOW)
    assert len(posts.bodies) == 25
    assert len(caplog.records) == 1, "said once"
    for minutes in range(1, 31):
        for number in range(3):
            await recorder.record(SUBJECT, numbered(1000 * minutes + number), NOW + timedelta(minutes=minutes))
    assert len(posts.bodies) == 25 + 6


async def test_a_flood_of_one_is_not_anothers(caplog):
    posts = Posts()
    recorder = Recorder(posts, "pod")
    for number in range(100):
        await recorder.record(SUBJECT, numbered(number), NOW)
    await recorder.record(replace(SUBJECT, uid="uid-2"), WHAT, NOW)
    assert posts.bodies[-1]["regarding"]["uid"] == "uid-2"


async def test_repeating_itself_costs_nothing():
    posts = Posts()
    recorder = Recorder(posts, "pod")
    for _ in range(100):
        await recorder.record(SUBJECT, WHAT, NOW)
    for number in range(24):
        await recorder.record(SUBJECT, numbered(number), NOW)
    assert len(posts.bodies) == 25


async def test_requests_are_bounded_even_when_they_fail():
    posts = Posts(*[ApiUnreachableError("away")] * 100)
    recorder = Recorder(posts, "pod")
    for _ in range(100):
        await recorder.record(SUBJECT, WHAT, NOW)
    assert len(posts.bodies) == 25


async def test_trainings_that_are_quiet_again_are_forgotten():
    recorder = Recorder(Posts(), "pod")
    for number in range(50):
        await recorder.record(replace(SUBJECT, uid=f"uid-{number}"), WHAT, NOW + timedelta(minutes=number))
    assert len(recorder._buckets) == 5
