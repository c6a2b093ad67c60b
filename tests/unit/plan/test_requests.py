import dataclasses
import datetime as dt
import itertools

import pytest

from shieldwall.control.plan import PlanSettings, build_plan
from shieldwall.control.plan.certificates import next_deadline, subjects_of
from shieldwall.control.plan.names import Names
from shieldwall.control.plan.orders import Observed

SETTINGS = PlanSettings()
HOUR = dt.timedelta(hours=1)
SECOND = dt.timedelta(seconds=1)
EVERYBODY = {"digits-server-tls", "digits-aggregator-tls", *(f"digits-tls-site-{number}" for number in range(3))}


def asking(new_training, **requests):
    """A training with requests for renewal: a dot in a subject is written as two underscores."""
    names = {subject.replace("__", "."): nonce for subject, nonce in requests.items()}
    return new_training(annotations={f"renew.shieldwall.dev/{subject}": nonce for subject, nonce in names.items()})


@pytest.fixture
def ordered(shell, now, new_training):
    """What is ordered of a settled training once something is asked for, a minute after what was asked before; the
    answer to it is observed next time."""
    known, then = shell.settle(new_training()), now

    def order(**requests):
        nonlocal known, then
        training, then = asking(new_training, **requests), then + 60 * SECOND
        plan = build_plan(training, known, SETTINGS, then)
        known = shell.fill(plan, known, then)
        assert build_plan(training, known, SETTINGS, then).complete, "a request is answered once"
        assert {each.reason for each in plan.certificates} <= {"Requested"}
        return {each.secret for each in plan.certificates}

    return order


def test_a_request_renews_whom_it_names_once(ordered):
    assert ordered(**{"client__site-1": "a"}) == {"digits-tls-site-1"}
    assert ordered(**{"client__site-1": "a"}) == set()
    assert ordered(**{"client__site-1": "b"}) == {"digits-tls-site-1"}
    assert ordered(server="a", aggregator="a", **{"client__site-1": "b"}) == {
        "digits-server-tls",
        "digits-aggregator-tls",
    }


def test_a_request_for_all_renews_everybody_once(ordered):
    assert ordered(all="2026-03-01") == EVERYBODY
    assert ordered(all="2026-03-01") == set()
    assert ordered(all="2026-03-01", server="x") == {"digits-server-tls"}
    assert ordered(all="2026-03-02", server="x") == EVERYBODY


def test_a_request_that_is_taken_back_renews_nobody(ordered):
    assert ordered(all="a", server="x") == EVERYBODY
    assert ordered(server="x") == set()
    assert ordered(all="a") == set()
    assert ordered() == set()


def test_of_many_requests_for_a_leaf_one_in_ten_seconds_is_answered_and_the_last(shell, new_training, now):
    """As fast as somebody changed the annotation: 768 times in 25 s. A pass after each, and after each deadline."""
    known, then, answers = shell.settle(new_training()), now, {}
    for number in range(768):
        then = now + number * 25 * SECOND / 768
        training = asking(new_training, **{"client__site-1": f"n{number}"})
        plan = build_plan(training, known, SETTINGS, then)
        assert {order.secret for order in plan.certificates} <= {"digits-tls-site-1"}
        if plan.certificates:
            answers[then] = f"n{number}"
        known = shell.fill(plan, known, then)
    times = list(answers)
    assert times[0] == now, "the first at once, though the leaf is as new as can be"
    assert 2 <= len(times) <= 3
    assert all(10 * SECOND <= later - earlier <= 11.1 * SECOND for earlier, later in itertools.pairwise(times))
    due = next_deadline(training, SETTINGS, known, then)
    assert due - times[-1] <= 11 * SECOND
    assert build_plan(training, known, SETTINGS, due - SECOND / 10).complete
    (last,) = build_plan(training, known, SETTINGS, due).certificates
    assert (last.secret, last.request) == ("digits-tls-site-1", "|n767")


def test_requests_for_one_leaf_hold_up_no_other_and_no_renewal_that_is_due(shell, new_training, now):
    known = shell.settle(new_training())
    known = shell.fill(build_plan(asking(new_training, server="a"), known, SETTINGS, now), known, now)
    both = asking(new_training, server="b", aggregator="b")
    assert [each.secret for each in build_plan(both, known, SETTINGS, now).certificates] == ["digits-aggregator-tls"]
    shorter = dataclasses.replace(both, spec=new_training({"identity": {"certificateTTL": "2h"}}).spec)
    assert len(build_plan(shorter, known, SETTINGS, now).certificates) == 5


def test_a_clock_that_was_turned_back_holds_up_no_request(shell, new_training, now):
    known = shell.settle(new_training())
    known = shell.fill(build_plan(asking(new_training, server="a"), known, SETTINGS, now), known, now)
    early = now - SECOND
    assert len(build_plan(asking(new_training, server="b"), known, SETTINGS, early).certificates) == 1


def test_whatever_is_issued_answers_what_is_asked_for_then(shell, new_training, now):
    training = asking(new_training, all="a", server="b")
    plan = build_plan(training, Observed(), SETTINGS, now)
    assert {order.secret: order.request for order in plan.certificates} == {
        secret: "a|b" if secret == "digits-server-tls" else "a|" for secret in EVERYBODY
    }
    assert {order.reason for order in plan.certificates} == {"Missing"}
    late = now + 17 * HOUR
    known = shell.settle(training)
    assert build_plan(training, known, SETTINGS, now).complete
    renewal = build_plan(asking(new_training, all="c"), known, SETTINGS, late).certificates
    assert {order.reason for order in renewal} == {"RenewalDue"}
    assert {order.request for order in renewal} == {"c|"}


def test_leaves_are_named_by_what_they_are_asked_for_by(new_training):
    assert subjects_of(new_training(), Names("digits")) == {
        "digits-server-tls": "server",
        "digits-aggregator-tls": "aggregator",
        **{f"digits-tls-site-{number}": f"client.site-{number}" for number in range(3)},
    }


def test_at_the_next_deadline_something_is_due_and_not_before(new_training, shell, now):
    training = new_training(clients=20)
    known = shell.settle(training)
    when = next_deadline(training, SETTINGS, known, now)
    assert now + 13 * HOUR < when < now + 16 * HOUR
    assert build_plan(training, known, SETTINGS, when - SECOND).complete
    assert not build_plan(training, known, SETTINGS, when).complete
    late = next_deadline(training, SETTINGS, known, when)
    assert late > when, "what is due already is no deadline"


def test_deadlines_lie_ahead_though_a_leaf_ends_with_its_issuer(new_training, shell, now):
    training = new_training()
    known = shell.settle(training)
    known = dataclasses.replace(known, issuer=shell.new_issuer(now, 80 * HOUR))
    late = now + 70 * HOUR
    known = shell.fill(build_plan(training, known, SETTINGS, late), known, late)
    assert build_plan(training, known, SETTINGS, late + 9 * HOUR).complete
    assert next_deadline(training, SETTINGS, known, late + 9 * HOUR) == now + 80 * HOUR
    assert not build_plan(training, known, SETTINGS, now + 80 * HOUR).complete
    assert next_deadline(training, SETTINGS, known, now + 80 * HOUR) is None


def test_leaves_that_nobody_wants_any_more_have_no_deadline(new_training, shell, now):
    known = shell.settle(new_training())
    leaf = known.leaves["digits-tls-site-0"]
    alone = dataclasses.replace(known, leaves={"digits-tls-gone": leaf}, trust=None)
    end = known.issuer.not_valid_after_utc
    assert next_deadline(new_training(), SETTINGS, alone, now) == end
    assert next_deadline(new_training(), SETTINGS, Observed(), now) is None
