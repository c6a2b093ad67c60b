"""A training reserves all that it may spend, or is refused with the sum."""

import copy
import json
from dataclasses import replace

import pytest

from shieldwall.control.api.budget import Unit
from shieldwall.control.api.parse import parse_training
from shieldwall.control.api.privacy import Privacy
from shieldwall.control.budgets.claims import claim_of
from shieldwall.control.budgets.loss import Loss
from shieldwall.control.budgets.refusals import (
    ExhaustedBudgetError,
    FullBudgetError,
    NoTargetError,
    OtherUnitError,
    UncoveredDataError,
)

from .conftest import Ledger, sight


def training(privacy):
    document = {
        "apiVersion": "shieldwall.dev/v1alpha1",
        "kind": "FederatedTraining",
        "metadata": {"name": "digits", "namespace": "fed", "uid": "uid of digits", "generation": 4},
        "spec": {
            "app": {"image": "x", "clientApp": "a:c", "model": "a:m"},
            "rounds": {"count": 30},
            "clients": [{"name": name} for name in ("berlin", "charite", "paris")],
        },
    }
    read = parse_training(document)
    return replace(read, spec=read.spec.model_copy(update={"privacy": privacy}))


def privacy(**words):
    return Privacy.model_validate_json(json.dumps(words))


@pytest.mark.parametrize("given", [None, privacy(mode="None"), privacy(mode="RecordLevel", epsilon=1.0, delta=1e-5)])
def test_a_training_without_a_budget_claims_nothing(given):
    assert claim_of(training(given)) is None


@pytest.mark.parametrize(
    ("mode", "unit"),
    [("RecordLevel", Unit.RECORD), ("ClientLevelLocal", Unit.CLIENT), ("ClientLevelCentral", Unit.CLIENT)],
)
def test_a_claim_is_of_the_whole_target(mode, unit):
    found = claim_of(training(privacy(mode=mode, epsilon=0.7, delta=1e-5, budgetRef="patients")))
    assert (found.budget, found.uid, found.generation, found.rounds) == (("fed", "patients"), "uid of digits", 4, 30)
    assert (found.unit, found.target) == (unit, Loss.of(0.7, 1e-5))
    assert found.clients == ("berlin", "charite", "paris")


@pytest.mark.parametrize(
    "given", [{}, {"epsilon": 1.0}, {"delta": 1e-5}, {"mode": "None", "epsilon": 1.0, "delta": 0.1}]
)
def test_who_does_not_say_what_it_may_spend_is_refused(given):
    with pytest.raises(NoTargetError, match="digits draws on PrivacyBudget patients and does not say what"):
        claim_of(training(privacy(**{"mode": "RecordLevel", "budgetRef": "patients"} | given)))


def test_all_is_reserved_before_anything_is_spent(ledger):
    ledger.claim()
    assert ledger.sums == (1.0, 0.0)
    assert ledger.deltas == (1e-5, 0.0)
    share = ledger.share()
    assert (share.state, share.generation) == ("Reserved", 1)


def test_a_claim_that_is_asked_again_changes_nothing(ledger):
    once = ledger.claim().books
    assert ledger.claim().books == once


def test_what_does_not_fit_is_refused_with_the_sum(ledger):
    ledger.starts("a", 1.0).see(sight("a", 1.0, 10, "Completed"))
    ledger.starts("b", 1.6)
    before = ledger.books
    with pytest.raises(ExhaustedBudgetError) as caught:
        ledger.claim("digits", 1.0)
    assert str(caught.value).startswith(
        "digits needs ε = 1.0; patients-2026 has 0.4 of 3.0 left: reserved 1.6, spent 1.0. Lower"
    )
    assert caught.value.left.epsilon == Loss.of(0.4, 0).epsilon
    assert ledger.books == before
    ledger.claim("small", 0.4)
    assert ledger.sums == (2.0, 1.0)


def test_delta_is_a_sum_too():
    ledger = Ledger(delta=2e-5).claim("a").claim("b")
    with pytest.raises(ExhaustedBudgetError, match=r"c needs δ = 1e-06; patients-2026 has 0\.0 of 2e-05 left"):
        ledger.claim("c", 0.1, 1e-6)


def test_sums_are_those_of_decimals():
    """As floats 0.1 + 0.2 is more than 0.3, and a third of a budget of 0.3 would not fit."""
    ledger = Ledger(epsilon=0.3).claim("a", 0.1).claim("b", 0.2)
    assert ledger.sums == (0.3, 0.0)
    with pytest.raises(ExhaustedBudgetError):
        ledger.claim("c", 1e-12)
    ten = Ledger(epsilon=1.0)
    for index in range(10):
        ten.claim(f"t{index}", 0.1)
    assert ten.sums == (1.0, 0.0)


@pytest.mark.parametrize("unit", Unit)
def test_a_budget_is_of_one_unit(unit):
    other = next(each for each in Unit if each is not unit)
    with pytest.raises(OtherUnitError, match=f"a budget of unit {unit.value}. Refer to a budget of unit {other.value}"):
        Ledger(unit=unit.value).claim(unit=other)


def test_a_budget_is_of_the_data_that_it_names(ledger):
    with pytest.raises(
        UncoveredDataError, match=r"not about the data of paris, rome, who take part in digits"
    ) as caught:
        ledger.claim(clients=("berlin", "paris", "rome"))
    assert caught.value.clients == ("paris", "rome")


def test_a_higher_target_needs_what_is_new_of_it(ledger):
    ledger.starts("digits", 1.0).see(sight(epsilon=0.4, round_=4)).claim("other", 1.5)
    with pytest.raises(ExhaustedBudgetError, match=r"digits needs ε = 0\.6; patients-2026 has 0\.5 of 3\.0 left"):
        ledger.claim("digits", 1.6, generation=2)
    ledger.claim("digits", 1.5, generation=2)
    assert ledger.sums == (2.6, 0.4)
    assert ledger.share().generation == 2


def test_a_lower_target_gives_nothing_back_while_pods_may_go_by_the_one_before(ledger):
    ledger.starts("digits", 1.0).claim("digits", 0.2, generation=2)
    assert ledger.sums == (1.0, 0.0)


def test_of_a_limit_that_was_lowered_nothing_is_forgotten(ledger):
    ledger.starts("a", 2.0)
    ledger.spec["epsilon"] = 1.0
    ledger.claim("a", 2.0)
    assert ledger.sums == (2.0, 0.0)
    with pytest.raises(
        ExhaustedBudgetError, match=r"b needs ε = 0\.1; patients-2026 has 0\.0 of 1\.0 left: reserved 2\.0"
    ):
        ledger.claim("b", 0.1)


def test_the_entry_of_a_deleted_training_makes_room_for_another(monkeypatch):
    monkeypatch.setattr("shieldwall.control.budgets.books.MOST_TRAININGS", 3)
    ledger = Ledger()
    for name in ("kept", "old", "runs"):
        ledger.starts(name, 0.5)
    ledger.see(sight("kept", 0.5, 10, "Completed"), sight("old", 0.2, 10, "Completed"), sight("runs", 0.1, 1))
    with pytest.raises(FullBudgetError, match="entries of 3 trainings"):
        ledger.claim("new", 0.5, sights=[sight("kept"), sight("old")])
    sums = ledger.sums
    ledger.claim("new", 0.5, sights=[sight("kept")])
    assert [share.name for share in ledger.books.trainings] == ["kept", "runs", "new"]
    assert (ledger.books.others.trainings, ledger.books.others.spent.epsilon) == (1, 0.2)
    assert ledger.sums == (sums[0] + 0.5, sums[1])


def test_books_are_not_changed_in_place(ledger):
    ledger.claim()
    before = copy.deepcopy(ledger.books)
    Ledger.claim(ledger, "other", 0.5)
    assert before.trainings == ledger.books.trainings[:1]
