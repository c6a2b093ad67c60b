"""Sums, conditions and events of books."""

import json
from datetime import timedelta

import pytest

from shieldwall.control.api.budget_status import PrivacyBudgetStatus
from shieldwall.control.budgets.notices import occurrences
from shieldwall.control.budgets.reading import UnreadableBooksError, books_of, status_of
from shieldwall.control.budgets.summary import refused, summarised

from .conftest import NOW, Ledger, sight

EMPTY = PrivacyBudgetStatus()


def told(ledger, now=NOW, **words):
    return summarised(ledger.books, ledger.budget, now, **words)


def condition(status, kind):
    found = next(each for each in status.conditions if each.type == kind)
    return found.status, found.reason


def test_the_sums_add_up_to_the_limit(ledger):
    status = told(ledger.starts().see(sight(epsilon=0.3, round_=3)).claim("b", 0.4))
    assert (status.spent.epsilon, status.reserved.epsilon, status.remaining.epsilon) == (0.3, 1.1, 1.6)
    assert (status.spent.delta, status.reserved.delta, status.remaining.delta) == (1e-5, 1e-5, 8e-5)
    assert status.observed_generation == 1


def test_a_budget_is_ready_also_when_it_is_exhausted(ledger):
    status = told(ledger)
    assert condition(status, "Ready") == ("True", "Kept")
    assert condition(status, "Reconciling") == ("False", "Current")
    assert condition(status, "Stalled") == ("False", "Progressing")
    assert condition(status, "Exhausted") == ("False", "SomeLeft")
    status = told(ledger.starts("digits", 3.0))
    assert (condition(status, "Ready"), condition(status, "Exhausted")) == (("True", "Kept"), ("True", "Reserved"))
    status = told(ledger.see(sight(epsilon=3.0, round_=10)))
    assert condition(status, "Exhausted") == ("True", "Spent")
    ledger.spec["epsilon"] = 2.0
    status = told(ledger)
    assert condition(status, "Exhausted") == ("True", "OverLimit")
    assert status.conditions[-1].message.endswith(
        "below what is spent and reserved: ε = 3.0 spent and 0.0 reserved of 2.0; δ = 1e-05 and 0.0 of 0.0001."
    )
    assert status.remaining.epsilon == 0.0


def test_times_stand_still_while_nothing_flips(ledger):
    before = told(ledger)
    again = summarised(before, ledger.budget, NOW + timedelta(days=1))
    assert again == before
    assert occurrences(before, again) == []


def test_a_spec_that_cannot_be_read_leaves_the_books_alone(ledger):
    before = told(ledger.starts().see(sight(epsilon=0.3, round_=3)))
    after = refused(before, 2, "spec.epsilon: Must be greater than 0; -1 is not allowed.", NOW)
    assert (condition(after, "Ready"), condition(after, "Stalled")) == (
        ("False", "InvalidSpec"),
        ("True", "InvalidSpec"),
    )
    assert condition(after, "Exhausted") == ("Unknown", "InvalidSpec")
    assert (after.trainings, after.spent, after.period) == (before.trainings, before.spent, before.period)
    (event,) = occurrences(before, after)
    assert (event.reason, event.type) == ("InvalidSpec", "Warning")


def test_a_full_history_is_told(ledger):
    status = told(ledger, stalled="no room")
    assert (condition(status, "Ready"), condition(status, "Stalled")) == (
        ("False", "HistoryFull"),
        ("True", "HistoryFull"),
    )


def happens(ledger, *changes):
    """Reasons and notes of the events of each change."""
    found, before = [], told(ledger)
    for change in changes:
        change()
        after = told(ledger)
        found.append([(each.reason, each.type, each.note) for each in occurrences(before, after)])
        before = after
    return found


def test_what_is_deleted_after_it_failed_is_told_with_why_it_counts_as_a_whole(ledger):
    ledger.starts().see(sight(epsilon=0.3, round_=3, phase="Failed"))
    ((event,),) = happens(ledger, ledger.gone)
    assert event == (
        "SpendingUnknown",
        "Warning",
        "digits was deleted after it had failed: all that it had reserved counts as spent, ε = 1.0.",
    )


def test_each_thing_that_happens_is_an_event(ledger):
    reserved, begun, released, over, asked, returned, again, started, vanished, reset = happens(
        ledger,
        ledger.claim,
        ledger.begin,
        lambda: ledger.see(sight(epsilon=0.3, round_=3)),
        lambda: ledger.see(sight(epsilon=0.4, round_=10, phase="Completed")),
        lambda: ledger.claim("b", 0.5),
        lambda: ledger.gone("b"),
        lambda: ledger.claim("c", 0.5),
        lambda: ledger.begin("c"),
        lambda: ledger.gone("c"),
        lambda: ledger.period("summer", reason="new consent"),
    )
    assert reserved == [("Reserved", "Normal", "digits reserved ε = 1.0, δ = 1e-05.")]
    assert begun == released == []
    assert over == [("Settled", "Normal", "digits is over and has spent ε = 0.4.")]
    assert [reason for reason, *_ in asked] == ["Reserved"]
    assert returned == [
        ("ReservationReturned", "Normal", "b was deleted before any pod of it was made: ε = 0.5, δ = 1e-05 returned.")
    ]
    assert ([reason for reason, *_ in again], started) == (["Reserved"], [])
    (unknown,) = vanished
    assert unknown[:2] == ("SpendingUnknown", "Warning")
    assert unknown[2].endswith(
        "was deleted before its end was seen: all that it had reserved counts as spent, ε = 0.5."
    )
    assert reset == [
        (
            "PeriodClosed",
            "Normal",
            "Period spring was closed with ε = 0.9 of 3.0 spent, and summer begun: new consent",
        )
    ]


def test_exhaustion_is_told_once(ledger):
    filled, same, over = happens(
        ledger,
        lambda: ledger.claim("digits", 3.0),
        ledger.begin,
        lambda: ledger.see(sight(epsilon=3.0, round_=3)),
    )
    assert [reason for reason, *_ in filled] == ["Reserved", "BudgetExhausted"]
    assert same == []
    assert [reason for reason, *_ in over] == ["BudgetExhausted"], "spent, and no longer merely reserved"


def test_books_that_were_made_anew_are_told():
    ledger = Ledger()
    after = told(ledger.see(sight(epsilon=0.3, round_=3)))
    rebuilt = [each for each in occurrences(EMPTY, after) if each.reason == "BudgetRebuilt"]
    assert [each.type for each in rebuilt] == ["Warning"]
    assert rebuilt[0].note.startswith("digits had begun without any books in status")


def test_the_books_are_read_as_they_were_written(ledger):
    status = told(ledger.starts().see(sight(epsilon=0.1 + 0.2, round_=3)).period("summer", sight()))
    assert books_of({"status": json.loads(json.dumps(status_of(status)))}) == status
    assert not books_of({"status": {"observedGeneration": -1}}).opened
    assert not books_of({}).opened


@pytest.mark.parametrize("change", [{"entriesOfTomorrow": []}, {"trainings": [{"name": "digits"}]}])
def test_books_of_another_release_are_never_taken_for_none(ledger, change):
    with pytest.raises(UnreadableBooksError, match="were not written by an operator of this release"):
        books_of({"status": status_of(told(ledger)) | change})
