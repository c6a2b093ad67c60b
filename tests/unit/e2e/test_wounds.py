"""When the end-to-end suite says that a kill fell inside a round, and who is lost by it."""

from __future__ import annotations

import pytest
from suite.chaos import Run, Wound
from suite.ledger import lost

CLIENTS = ("berlin", "dresden", "hamburg", "jena")
OPENED = {"run_id": "7", "round": 3, "attempt": 1, "opened": 100.0}


def record(opened=100.0, seconds=4.0, outcome="released", round_=3, **answers):
    """``answers``: by client, the seconds until its reply, or what became of it."""
    replies = [
        {"client": client, "fate": said, "seconds": None}
        if isinstance(said := answers.get(client, 3.0), str)
        else {"client": client, "fate": "admitted", "seconds": said}
        for client in CLIENTS
    ]
    return {**OPENED, "opened": opened, "seconds": seconds, "round": round_, "outcome": outcome, "replies": replies}


def wound(before=101.0, after=101.5):
    return Wound(OPENED, before, after, ready=0, right=0)


def test_a_kill_while_replies_are_awaited_is_inside():
    assert wound().hit([record()])


@pytest.mark.parametrize(("before", "after"), [(99.0, 101.0), (103.9, 104.1), (105.0, 105.1)])
def test_a_kill_that_began_before_or_ended_after_the_attempt_is_not(before, after):
    assert not wound(before, after).hit([record()])


def test_an_attempt_without_a_record_was_ended_by_the_kill():
    assert wound().hit([record(opened=90.0, round_=2)])


@pytest.mark.parametrize(
    ("answer", "inside"), [(0.5, False), (2.0, False), (3.0, True), ("no-reply", True), ("client-error", True)]
)
def test_a_client_is_killed_before_its_reply_has_come(answer, inside):
    assert wound().hit([record(dresden=answer)], "dresden") is inside


def test_who_was_not_asked_is_lost_too():
    one = record(berlin="no-reply")
    one["replies"] = [each for each in one["replies"] if each["client"] != "jena"]
    assert lost(one, CLIENTS) == {"berlin": "no-reply", "jena": "not-asked"}


def test_the_next_release_is_not_one_that_was_there():
    records = [record(), record(104.1, 4, "repeated", 4), record(108.2, 4, "released", 4)]
    assert wound(104.5, 104.6).next_release(records) == records[2]


def test_attempts_until_the_next_kill_are_those_a_kill_may_have_touched():
    records = [record(100.0 + 5 * step, round_=3 + step) for step in range(4)]
    run = Run(records=records, strikes={"a": [101.0], "b": [111.0, 115.0]})
    assert run.since("a") == records[:2]
    assert run.since("b") == records[2:]


def test_attempts_after_the_last_kill_count_until_fewer_rounds_are_wanted():
    records = [record(100.0 + 5 * step, round_=3 + step) for step in range(4)]
    assert Run(records=records, strikes={"a": [106.0]}, shortened=112.0).since("a") == records[1:2]
