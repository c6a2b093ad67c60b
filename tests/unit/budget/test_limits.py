"""A limit that is changed stays on record: nothing else tells later that a promise was another one."""

from datetime import timedelta

from shieldwall.control.budgets.notices import occurrences
from shieldwall.control.budgets.summary import summarised

from .conftest import NOW, Ledger, sight


def change(ledger, hours=0, **spec):
    """The status before and after the spec was changed."""
    before = summarised(ledger.books, ledger.budget, NOW)
    ledger.spec |= spec
    ledger.books = summarised(before, ledger.budget, NOW + timedelta(hours=hours))
    return before, ledger.books


def test_a_limit_that_is_raised_is_on_record_and_a_warning(ledger):
    before, after = change(ledger, 2, epsilon=5.0)
    (record,) = after.limits
    assert (record.before.epsilon, record.after.epsilon, record.changed) == (3.0, 5.0, "2026-03-01T14:00:00Z")
    assert after.limit.epsilon == 5.0
    (event,) = occurrences(before, after)
    assert (event.reason, event.type) == ("LimitChanged", "Warning")
    assert event.note == "The limit was ε = 3.0, δ = 0.0001 and is ε = 5.0, δ = 0.0001 now."


def test_so_is_one_that_is_lowered_and_raised_again_and_another_delta(ledger):
    kinds = [occurrences(*change(ledger, **spec))[0].type for spec in ({"epsilon": 1}, {"epsilon": 3}, {"delta": 1e-3})]
    assert kinds == ["Normal", "Warning", "Warning"]
    assert [(each.after.epsilon, each.after.delta) for each in ledger.books.limits] == [
        (1.0, 1e-4),
        (3.0, 1e-4),
        (3.0, 1e-3),
    ]


def test_books_that_begin_or_stay_have_no_change(ledger):
    before, after = change(ledger)
    assert (before.limits, after.limits, occurrences(before, after)) == ((), (), [])
    assert occurrences(Ledger().books, after) == []


def test_where_there_is_no_room_the_last_record_holds_the_sum_of_its_changes(ledger, monkeypatch):
    monkeypatch.setattr("shieldwall.control.budgets.limits.MOST_LIMITS", 2)
    for epsilon in (4.0, 5.0, 6.0, 7.0):
        change(ledger, epsilon=epsilon)
    assert [(each.before.epsilon, each.after.epsilon) for each in ledger.books.limits] == [(3.0, 4.0), (4.0, 7.0)]


def test_a_limit_that_is_raised_with_a_new_period_is_none_of_the_period_before(ledger):
    change(ledger)
    ledger.spec["epsilon"] = 9.0
    ledger.period("summer", sight())
    assert ledger.books.history[0].limit.epsilon == 3.0
