"""Every attack against every rule, and the page of it."""

import math
from enum import StrEnum

import pytest

from shieldwall.contract.policy import PreAggregation, Rule
from shieldwall.lab import matrix
from shieldwall.lab.attacks import PLANS, Goal, LabAttack
from shieldwall.lab.matrix import CLIENTS, Cell, Result, cells, defences, measure, policy_of, protocol_fates
from shieldwall.lab.matrix_page import Facts, page
from shieldwall.runtime.aggregation import required_replies

ATTACKS = [None, *(kind for kind, plan in PLANS.items() if plan.goal is not Goal.PROTOCOL)]
FACTS = Facts("python benchmarks/attack_matrix.py", 2, 120.0, 300.0, [])


def test_every_rule_is_measured_with_the_largest_f_that_fits_or_named_as_one_that_does_not():
    found, refused = defences()
    assert {defence.policy.rule for defence in found} | {Rule(name) for name in refused if "+" not in name} == set(Rule)
    for defence in found:
        assert required_replies(defence.policy) <= CLIENTS
    assert {each.policy.rule for each in found if each.policy.byzantine == 0} <= {Rule.FED_AVG}


def test_a_new_rule_is_picked_up_from_the_policy(monkeypatch):
    class Later(StrEnum):
        FED_AVG = Rule.FED_AVG
        KRUM = Rule.KRUM

    monkeypatch.setattr(matrix, "Rule", Later)
    assert [defence.name for defence in defences()[0] if defence.before is None] == ["FedAvg", "Krum"]
    # A rule that no f fits is named, never bent.
    monkeypatch.setattr(matrix, "required_replies", lambda policy: CLIENTS + 1 if policy.rule is Rule.KRUM else 1)
    found, refused = defences()
    assert Rule.KRUM not in {defence.policy.rule for defence in found}
    assert "Krum" in refused


def test_seeds_come_one_after_the_other_so_that_a_matrix_can_be_cut_short():
    found = list(cells(["digits"], [math.inf, 0.5], [None, LabAttack.IPM], defences()[0][:2], 3))
    assert [cell.seed for cell in found] == sorted(cell.seed for cell in found)
    assert len({cell.key for cell in found}) == len(found) == 2 * 2 * 2 * 3


def test_a_trial_can_be_repeated_and_read_back(laboratory):
    cell = Cell("digits", 0.5, LabAttack.ALIE_ADAPTIVE, defences()[0][0], 1)
    one, other = (measure(cell, laboratory, 2) for _ in range(2))
    assert one.accuracy == other.accuracy
    assert one.key == cell.key
    assert Result.model_validate_json(one.model_dump_json()).key == cell.key
    calm = Result(task="digits", alpha=math.inf, attack=None, defence="x", seed=0, accuracy=1, success=0, seconds=0)
    assert Result.model_validate_json(calm.model_dump_json()) == calm


def results(cost):
    """A made-up matrix in which every untargeted attack costs the default so many points."""
    found, _ = defences()
    return found, [
        Result(
            task=cell.task,
            alpha=cell.alpha,
            attack=cell.attack,
            defence=cell.defence.name,
            seed=cell.seed,
            accuracy=0.9 if cell.attack is None or PLANS[cell.attack].goal is not Goal.UNTARGETED else 0.9 - cost / 100,
            success=0.25,
            seconds=1.0,
        )
        for cell in cells(["digits"], [math.inf, 0.5, 0.1], ATTACKS, found, 2)
    ]


def test_a_default_that_holds_is_said_to_hold():
    found, made = results(2.9)
    text = page(made, found, {}, FACTS)
    assert "**It holds.**" in text
    assert FACTS.command in text
    assert "| ipm | 87.1 |" in text
    assert "| *success of backdoor* | 25.0 |" in text


def test_the_page_says_what_is_not_in_it():
    found, made = results(0)
    text = page(made, found, {}, FACTS)
    assert "validation and contribution are off" in text
    assert "Not measured here" not in text
    few = [each for each in found if each.policy.pre_aggregation is not PreAggregation.BUCKETING]
    assert "Not measured here: Bucketing." in page(made, few, {}, FACTS)


def test_the_measured_trainings_have_neither_validation_nor_contribution():
    policy = policy_of(defences()[0][0].policy, 1)
    assert (policy.validation, policy.contribution) == (None, None)


def test_a_default_that_does_not_hold_is_said_not_to_and_why():
    found, made = results(3.1)
    text = page(made, found, {}, FACTS)
    assert "**It does not hold for these:**" in text
    assert "| digits | 0.5 | alie | 90.0 | 86.9 | 3.1 | none |" in text
    assert "| digits | 0.1 | alie | 90.0" not in text
    assert "arXiv:2006.09365" in text


def test_a_rule_that_held_where_the_default_did_not_is_named():
    found, made = results(3.1)
    better = [
        each.model_copy(update={"accuracy": 0.9}) if (each.attack, each.defence) == ("alie", "Krum") else each
        for each in made
    ]
    assert "| digits | 0.5 | alie | 90.0 | 86.9 | 3.1 | Krum |" in page(better, found, {}, FACTS)


def test_a_training_that_broke_down_counts_as_nothing_learnt():
    found, made = results(0)
    broken = [each.model_copy(update={"accuracy": None}) if each.attack == "ipm" else each for each in made]
    assert "| ipm | 0.0 |" in page(broken, found, {}, FACTS)


def test_the_page_tells_what_became_of_attacks_on_the_protocol(laboratory):
    fates = protocol_fates(laboratory, 2)
    assert fates[LabAttack.REPLAYED] == {"admitted": 3, "stale": 3}
    found, made = results(0)
    assert "| replayed | the first signed reply again | 3 admitted, 3 stale |" in page(made, found, fates, FACTS)


@pytest.mark.parametrize("name", ["digits", "mnist"])
def test_tasks_are_images_with_ten_classes(name):
    task = matrix.TASKS[name]()
    assert task.images.min() >= 0
    assert 0.5 < task.images.max() <= 1
    assert set(task.classes) == set(task.held_classes) == set(range(10))
    assert len(task.images) + len(task.held_images) == {"digits": 1797, "mnist": 5000}[name]
