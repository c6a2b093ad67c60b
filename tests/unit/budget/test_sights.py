"""What is read of a training whose spec or status may be of another release."""

import pytest

from shieldwall.control.budgets.loss import Loss
from shieldwall.control.budgets.sights import drawn_on, sight_of

DRAWS = {"mode": "RecordLevel", "epsilon": 1.0, "delta": 1e-5, "budgetRef": "patients"}


def body(privacy=DRAWS, status=None, **spec):
    return {
        "metadata": {"namespace": "fed", "name": "digits", "uid": "u", "generation": 3, "resourceVersion": "5"},
        "spec": {"privacy": privacy, "rounds": {"count": 7}} | spec,
    } | ({"status": status} if status is not None else {})


def test_all_that_counts_is_read():
    status = {
        "observedGeneration": 2,
        "phase": "Training",
        "round": 4,
        "privacy": {"mode": "RecordLevel", "epsilonSpent": 0.3, "fieldOfTomorrow": {"a": 1}},
    }
    seen = sight_of(body(status=status))
    assert (seen.budget, seen.name, seen.uid, seen.generation) == (("fed", "patients"), "digits", "u", 3)
    assert (seen.target, seen.rounds) == (Loss.of(1.0, 1e-5), 7)
    assert (seen.observed_generation, seen.phase, seen.round, seen.epsilon) == (2, "Training", 4, 0.3)
    assert seen.begun


@pytest.mark.parametrize("privacy", [None, {}, {"mode": "None"}, {"budgetRef": 7}, "RecordLevel"])
def test_who_draws_on_no_budget_is_not_seen(privacy):
    assert drawn_on(body(privacy)) is None
    assert sight_of(body(privacy)) is None
    assert drawn_on({"metadata": {"namespace": "fed"}}) is None


def test_a_training_that_nobody_has_looked_at_has_not_begun():
    seen = sight_of(body(status={"observedGeneration": -1}))
    assert (seen.observed_generation, seen.phase, seen.round, seen.epsilon) == (-1, "", 0, None)
    assert not seen.begun
    assert sight_of(body(), running=True).begun


@pytest.mark.parametrize("epsilon", ["a lot", -1.0, [], float("nan")])
def test_a_status_that_cannot_be_read_says_nothing(epsilon):
    seen = sight_of(body(status={"phase": "Completed", "privacy": {"epsilonSpent": epsilon}}))
    assert (seen.phase, seen.epsilon) == ("", None)
    assert seen.target == Loss.of(1.0, 1e-5)


def test_a_spec_that_is_refused_today_still_draws():
    seen = sight_of(body(rounds={"count": 7, "ofAnotherRelease": True}, app="not a map"))
    assert (seen.budget, seen.rounds) == (("fed", "patients"), 7)
    assert sight_of(body(rounds="none")) is None
