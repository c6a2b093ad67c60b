"""Spending follows what is released and never decreases; the rest comes back only when the end was seen."""

import pytest

from shieldwall.control.budgets.refusals import ExhaustedBudgetError

from .conftest import Ledger, sight


def test_what_is_released_moves_from_reserved_to_spent(ledger):
    ledger.starts()
    for round_, epsilon in enumerate((0.3, 0.45, 0.56), start=1):
        ledger.see(sight(epsilon=epsilon, round_=round_))
        assert ledger.sums == pytest.approx((1 - epsilon, epsilon), abs=1e-15)
        assert ledger.deltas == (0.0, 1e-5), "all of delta with the first release"
    assert (ledger.share().state, ledger.share().round) == ("Settling", 3)


@pytest.mark.parametrize("told", [None, 0.2, 0.5])
def test_spent_never_decreases(ledger, told):
    ledger.starts().see(sight(epsilon=0.5, round_=5)).see(sight(epsilon=told, round_=5))
    assert ledger.sums == (0.5, 0.5)


def test_completed_is_over_when_all_its_rounds_are_released(ledger):
    ledger.starts().see(sight(epsilon=0.6, round_=10, phase="Completed"))
    assert ledger.sums == (0.0, 0.6)
    assert (ledger.share().state, ledger.share().ended) == ("Settled", "Completed")


@pytest.mark.parametrize(
    ("seen", "ended"),
    [
        (sight(epsilon=0.6, round_=9, phase="Completed"), "Completed"),
        (sight(epsilon=0.6, round_=9, phase="Failed"), "Failed"),
        (sight(epsilon=0.6, round_=10, phase="Training"), None),
        (sight(epsilon=0.6, round_=10, phase="Unreachable"), None),
        (sight(epsilon=0.6, round_=10, phase="Completed", rounds=None), "Completed"),
        (sight(epsilon=0.6, round_=10, phase="Completed", generation=2, observed_generation=0), None),
        (sight(epsilon=None, round_=10, phase="Completed"), None),
    ],
    ids=["of fewer rounds", "failed", "training", "silent", "of unknown rounds", "of an older spec", "without a sum"],
)
def test_what_may_still_go_on_keeps_its_reservation(ledger, seen, ended):
    """The steward of a pod that is being replaced may say Completed of fewer rounds than are wanted by now."""
    ledger.starts().see(seen)
    share = ledger.share()
    assert (share.state, share.ended) == ("Settling", ended)
    assert share.reserved.epsilon + share.spent.epsilon == 1.0


def test_what_has_completed_early_gives_the_rest_back_when_it_is_deleted(ledger):
    ledger.starts().see(sight(epsilon=0.6, round_=7, phase="Completed")).gone()
    assert ledger.sums == (0.0, 0.6)
    assert (ledger.share().state, ledger.share().ended) == ("Settled", "Completed")


def test_what_has_failed_may_have_spent_all_that_it_had_reserved(ledger):
    """What its last aggregator spent before it died was told to nobody: 5.5, where 2.0 was told."""
    ledger.starts().see(sight(epsilon=0.6, round_=7, phase="Failed")).gone()
    assert ledger.sums == (0.0, 1.0)
    assert (ledger.share().state, ledger.share().ended) == ("Settled", "Failed")


@pytest.mark.parametrize("seen", [sight(), sight(epsilon=0.6, round_=7), sight(epsilon=None, phase="Failed")])
def test_who_vanishes_has_spent_all_that_it_had_reserved(ledger, seen):
    ledger.starts().see(seen).gone()
    assert ledger.sums == (0.0, 1.0)
    assert ledger.deltas == (0.0, 1e-5)
    assert (ledger.share().state, ledger.share().ended) == ("Settled", "Vanished")


def test_whose_pods_were_never_made_gives_all_back(ledger):
    ledger.claim("other").claim().gone()
    assert ledger.share() is None
    assert ledger.sums == (1.0, 0.0)


def test_who_is_neither_seen_nor_known_to_have_gone_stays(ledger):
    before = ledger.starts().books
    assert ledger.see().books == before


def test_releases_before_any_pod_was_noted_are_counted(ledger):
    ledger.claim().see(sight(epsilon=0.2, round_=1)).gone()
    assert ledger.sums == (0.0, 1.0)


def test_pods_that_were_made_without_a_note_may_have_spent(ledger):
    ledger.claim().see(sight(running=True)).gone()
    assert ledger.sums == (0.0, 1.0)


def test_another_spec_of_a_settled_training_reserves_again(ledger):
    ledger.starts().see(sight(epsilon=0.6, round_=10, phase="Completed"))
    ledger.claim("b", 2.0)
    assert ledger.claim().share().state == "Settled", "the same spec releases nothing more"
    with pytest.raises(ExhaustedBudgetError, match=r"digits needs ε = 0\.6; patients-2026 has 0\.4 of 3\.0 left"):
        ledger.claim("digits", 1.2, generation=2, rounds=20)
    ledger.claim("digits", 1.0, generation=2, rounds=20)
    assert ledger.sums == (2.4, 0.6)
    assert (ledger.share().state, ledger.share().ended) == ("Settling", None)


def test_a_word_of_the_spec_before_settles_nothing(ledger):
    """Another operator may still have the spec before, of which all rounds are released."""
    ledger.starts().claim(generation=2, rounds=20)
    ledger.see(sight(epsilon=0.6, round_=10, phase="Completed", generation=1))
    assert ledger.share().state == "Settling"
    assert ledger.sums == (0.4, 0.6)


def test_another_spec_that_releases_nothing_more_needs_nothing(ledger):
    ledger.starts().see(sight(epsilon=0.6, round_=10, phase="Completed"))
    ledger.claim("digits", 9.9, generation=2, rounds=10)
    assert (ledger.share().state, ledger.share().generation) == ("Settled", 2)
    assert ledger.sums == (0.0, 0.6)


def test_a_settled_training_that_spends_all_the_same_is_counted(ledger):
    ledger.starts().see(sight(epsilon=0.6, round_=10, phase="Completed")).see(sight(epsilon=0.9, round_=12))
    assert ledger.sums == (0.0, 0.9)


def test_of_two_trainings_of_one_name_each_has_its_own_share():
    ledger = Ledger().starts().gone()
    ledger.books = ledger.books.model_copy(
        update={"trainings": tuple(share.model_copy(update={"uid": "older"}) for share in ledger.books.trainings)}
    )
    ledger.starts().see(sight(epsilon=0.1, round_=1))
    assert [(share.uid, share.spent.epsilon) for share in ledger.books.trainings] == [
        ("older", 1.0),
        ("uid of digits", 0.1),
    ]
