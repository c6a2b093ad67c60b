"""A period is closed by a new name with a reason, into the history; books that were deleted are made anew."""

import pytest

from shieldwall.control.api.budget_status import PrivacyBudgetStatus
from shieldwall.control.budgets.periods import FullHistoryError, opened
from shieldwall.control.budgets.refusals import ExhaustedBudgetError

from .conftest import NOW, Ledger, budget, by_uid, sight


def test_a_new_period_records_the_one_before_and_begins_at_what_runs():
    ledger = Ledger()
    done = sight("done", 0.9, 10, "Completed")
    for name in ("done", "gone", "runs"):
        ledger.starts(name)
    ledger.see(done, sight("runs", 0.3, 3)).gone("gone")
    assert ledger.sums == (0.7, 2.2)
    ledger.period("summer", done, sight("runs", 0.3, 3), reason="new consent")
    (record,) = ledger.books.history
    assert (record.period, record.reason, record.closed) == ("spring", "new consent", "2026-03-01T12:00:00Z")
    assert (record.spent.epsilon, record.limit.epsilon) == (2.2, 3.0)
    assert [share.name for share in ledger.books.trainings] == ["done", "runs"]
    assert ledger.books.period == "summer"
    assert ledger.sums == (0.7, 0.3), "what runs counts as a whole: what it releases lately is not bounded by the rest"


def test_without_a_new_name_nothing_is_forgiven(ledger):
    ledger.starts().see(sight(epsilon=0.5, round_=5))
    before = ledger.books
    assert ledger.period("spring", reason="please").books == before


def test_who_was_settled_and_spends_again_in_another_period_counts_as_a_whole(ledger):
    done = sight(epsilon=0.6, round_=10, phase="Completed")
    ledger.starts().see(done).period("summer", done)
    assert ledger.see(done).sums == (0.0, 0.0)
    ledger.claim("digits", 1.0, generation=2, rounds=20)
    assert ledger.sums == (1.0, 0.0), "all of its target, not what is new of it"
    ledger.see(sight(epsilon=0.7, round_=11, generation=2, rounds=20))
    assert ledger.sums == (0.3, 0.7)


def test_a_history_that_is_full_keeps_the_period_that_counts(ledger, monkeypatch):
    monkeypatch.setattr("shieldwall.control.budgets.periods.MOST_PERIODS", 1)
    ledger.starts().period("summer", sight())
    before = ledger.books
    with pytest.raises(FullHistoryError, match="no room for more than 1 periods, so patients-2026 goes on"):
        ledger.period("autumn")
    assert ledger.books == before


def test_books_that_were_deleted_are_made_of_what_trainings_say():
    seen = by_uid(
        sight("ended", 0.9, 10, "Completed"),
        sight("runs", 0.3, 3),
        sight("began", running=True),
        sight("waits"),
    )
    books = opened(PrivacyBudgetStatus(), budget(), lambda: seen, NOW)
    assert [(share.name, share.state, share.reserved.epsilon, share.spent.epsilon) for share in books.trainings] == [
        ("began", "Settling", 1.0, 0.0),
        ("ended", "Settled", 0.0, 0.9),
        ("runs", "Settling", 0.7, 0.3),
    ]


def test_books_made_anew_may_be_over_the_limit_and_then_nothing_fits(ledger):
    seen = by_uid(*(sight(f"t{index}", 0.5, 5) for index in range(4)))
    ledger.books = opened(PrivacyBudgetStatus(), ledger.budget, lambda: seen, NOW)
    assert ledger.sums == (2.0, 2.0)
    with pytest.raises(ExhaustedBudgetError):
        ledger.claim("new", 0.1)


def test_a_training_that_runs_without_an_entry_is_counted_whatever_is_left(ledger):
    ledger.claim("all", 3.0)
    ledger.see(sight("all"), sight("waits"), sight("runs", 0.3, 3), sight("began", running=True))
    assert [share.name for share in ledger.books.trainings] == ["all", "began", "runs"]
    assert ledger.sums == (4.7, 0.3)


def test_trainings_are_looked_at_only_when_books_begin_or_a_period_ends(ledger):
    def nobody():
        raise AssertionError("they were")

    assert opened(ledger.books, ledger.budget, nobody, NOW) == ledger.books
