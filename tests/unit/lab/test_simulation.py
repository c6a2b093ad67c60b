"""Trainings of users, from their files, simulated."""

import math
from dataclasses import replace

import pytest

from shieldwall.cli.views.simulated import as_json
from shieldwall.contract.policy import Rule, TooFewReplies
from shieldwall.contract.records import Fate, Outcome
from shieldwall.lab.attacks import LabAttack
from shieldwall.lab.loaders import NothingToPoisonError
from shieldwall.lab.outcome import median_trial, outcomes
from shieldwall.lab.roster import Band, assign, parse_bands
from shieldwall.lab.run import Laboratory
from shieldwall.lab.simulation import Simulation, UnfitTrainingError
from shieldwall.lab.user_app import UserApp
from shieldwall.local.attacks import InvalidAttackError, TooManyAttackersError
from shieldwall.local.standing import Standing
from shieldwall.runtime.aggregation import UnsoundPolicyError


def rows(simulation, now):
    simulation.check()
    return {(row.defence.label, row.bands): row for row in simulation.run(now, lambda _: None)}


def bands(*pairs):
    return tuple(Band(LabAttack(kind), count) for kind, count in pairs)


DEFAULT = "NNM + FedTrimmedAvg"
FLIP = bands(("sign-flip", 2))
FREE = bands(("free-zero", 2))
BACKDOOR = bands(("model-replacement", 2))


@pytest.fixture(scope="module")
def digits_rows(training, now):
    return rows(Simulation(training("digits", 5), [FLIP, BACKDOOR], [], None, 1), now)


def test_the_users_own_app_is_run_with_and_without_defence_and_attack(digits_rows):
    assert set(digits_rows) == {
        (label, attackers) for label in ("unprotected", DEFAULT) for attackers in ((), FLIP, BACKDOOR)
    }
    assert digits_rows["unprotected", ()].accuracy > 0.9
    assert digits_rows["unprotected", FLIP].accuracy < 0.4
    assert digits_rows[DEFAULT, FLIP].accuracy > 0.85


def test_success_of_a_backdoor_is_measured_by_the_users_own_evaluation(digits_rows):
    assert digits_rows["unprotected", BACKDOOR].success > 0.8
    assert digits_rows[DEFAULT, BACKDOOR].success < 0.3
    assert digits_rows["unprotected", ()].success is None


def test_who_was_left_out_is_counted(digits_rows):
    liars = digits_rows[DEFAULT, FLIP].standings(attackers=True)
    assert liars == {Standing.REJECTED: 5 * 2}, "as outliers, by validation"
    others = digits_rows[DEFAULT, FLIP].standings(attackers=False)
    assert others == {Standing.OK: 5 * 8}


def test_a_rule_that_selects_nobody_leaves_nobody_out(training, now):
    own = training("digits", 2)
    spec = own.spec.model_copy(update={"validation": own.spec.validation.model_copy(update={"policy": "None"})})
    row = rows(Simulation(_with(own, spec), [FLIP], [Rule.FED_MEDIAN], None, 1), now)["FedMedian", FLIP]
    assert row.against(attackers=True) == 2 * 2
    assert as_json(Simulation(own, [], [], None, 1), [row])["rows"][0]["replies"]["attackers"] == {
        "ok": 0,
        "outvoted": 0,
        "rejected": 0,
        "absent": 0,
        "against": 4,
    }


def test_one_that_selects_leaves_out_whom_it_does_not_select(training, now):
    own = training("digits", 2)
    spec = own.spec.model_copy(update={"validation": own.spec.validation.model_copy(update={"policy": "None"})})
    row = rows(Simulation(_with(own, spec), [FLIP], [Rule.KRUM], None, 1), now)["Krum", FLIP]
    assert row.against(attackers=True) == 0
    assert row.standings(attackers=True) == {Standing.OUTVOTED: 4}


@pytest.mark.parametrize("dry_run", [False, True])
def test_free_riders_are_banned_as_in_a_cluster(training, now, dry_run):
    own = training("digits", 7)
    ban = own.spec.contribution.ban.model_copy(update={"dry_run": dry_run})
    contribution = own.spec.contribution.model_copy(update={"ban": ban})
    changed = _with(own, own.spec.model_copy(update={"contribution": contribution}))
    (trial,) = rows(Simulation(changed, [FREE], [], None, 1), now)[DEFAULT, FREE].trials
    fates = [{reply.fate for reply in record.replies[-2:]} for record in trial.records]
    assert fates[:5] == [{Fate.ADMITTED}] * 5
    assert fates[5:] == [{Fate.ADMITTED if dry_run else Fate.DENIED}] * 2


def test_seeds_reach_the_app(training, now):
    found = rows(Simulation(training("digits", 2), [], [], None, 3), now)
    assert len(set(found[DEFAULT, ()].accuracies)) == 3


def test_alpha_reaches_the_app(training, now):
    accuracies = [
        rows(Simulation(training("digits", 3), [], [Rule.FED_MEDIAN], alpha, 1), now)["FedMedian", ()].accuracy
        for alpha in (math.inf, 0.1)
    ]
    assert accuracies[0] - accuracies[1] > 0.05


def test_other_rules_can_be_tried(training, now):
    found = rows(Simulation(training("digits", 1), [], [Rule.KRUM, Rule.FED_MEDIAN, Rule.FED_AVG], None, 1), now)
    assert [label for label, _ in found] == ["unprotected", "Krum", "FedMedian", "FedAvg"]
    assert found["Krum", ()].defence.policy.aggregation.byzantine == 2
    assert found["FedAvg", ()].defence.policy.aggregation.byzantine == 0


def test_signatures_are_real_but_for_who_has_no_protection(training, now):
    unsigned = bands(("unsigned", 1))
    found = rows(Simulation(training("digits", 1), [unsigned], [], None, 1), now)
    fates = {
        label: [reply.fate for trial in row.trials for record in trial.records for reply in record.replies][-1]
        for (label, attackers), row in found.items()
        if attackers
    }
    assert fates == {"unprotected": Fate.ADMITTED, DEFAULT: Fate.UNSIGNED}


def test_a_wrapped_app_is_simulated_with_its_own_server_app(training, now):
    flip = bands(("sign-flip", 1))
    found = rows(Simulation(training("quickstart", 2), [flip], [], None, 1), now)
    assert found["FedMedian", ()].accuracy > 0.85
    assert found["unprotected", flip].accuracy < 0.5 < found["FedMedian", flip].accuracy
    records = outcomes(Simulation(training("quickstart", 2), [flip], [], None, 1), list(found.values()))[0].released
    assert all(record.metrics["accuracy"] > 0.8 for record in records)


@pytest.mark.parametrize("name", ["digits", "quickstart"])
def test_a_training_that_skipped_all_its_rounds_did_not_finish_and_one_that_lost_some_tells(training, now, name):
    own = training(name, 2)
    liars = len(own.spec.clients) - own.spec.min_replies + 1
    nan = bands(("nan", liars))
    (defence,) = [each for each in Simulation(own, [], [], None, 1).defences() if each.protected]
    rounds = defence.policy.rounds.model_copy(update={"on_too_few_replies": TooFewReplies.SKIP})
    policy = defence.policy.model_copy(update={"rounds": rounds})
    with Laboratory.of(policy, now) as laboratory:
        app = UserApp(policy, {})
        empty = app.trial(laboratory, policy, assign([client.name for client in own.spec.clients], nan), 0)
        whole = app.trial(laboratory, policy, {}, 0)
    assert {record.outcome for record in empty.records} == {Outcome.SKIPPED}
    assert "released no round" in empty.message
    assert empty.losses.startswith(f"{len(empty.records)} rounds were lost: in round")
    assert (whole.message, whole.losses) == ("", "")


def test_an_app_that_draws_from_the_global_generators_can_be_repeated_exactly(training, now):
    order = Simulation(training("quickstart", 2), [], [Rule.FED_AVG], None, 2)
    models = [[trial.model.sha256 for row in rows(order, now).values() for trial in row.trials] for _ in range(2)]
    assert models[0] == models[1]
    assert len(set(models[0])) > 1


def test_a_wrapped_app_runs_as_many_rounds_as_are_asked_for(training, now):
    found = rows(Simulation(training("quickstart", 3), [], [], None, 1, rounds=1), now)
    assert [len(trial.records) for trial in found["FedMedian", ()].trials] == [1]
    own = training("quickstart", 3)
    config = {key: value for key, value in own.spec.app.config.items() if key != "num-server-rounds"}
    spec = own.spec.model_copy(update={"app": own.spec.app.model_copy(update={"config": config})})
    with pytest.raises(UnfitTrainingError, match="--rounds"):
        Simulation(_with(own, spec), [], [], None, 1, rounds=1).check()


def test_label_flips_reach_the_users_app(training, now):
    flip = bands(("label-flip", 5))
    found = rows(Simulation(training("digits", 3), [flip], [Rule.FED_AVG], None, 1), now)
    assert found["FedAvg", ()].accuracy - found["FedAvg", flip].accuracy > 0.05


def test_an_app_whose_data_cannot_be_poisoned_is_told(training, now, monkeypatch):
    monkeypatch.setattr("shieldwall.lab.loaders._LOADERS", {})
    with pytest.raises(NothingToPoisonError):
        rows(Simulation(training("digits", 1), [bands(("backdoor", 1))], [], None, 1), now)


def test_a_training_without_a_measure_is_refused_by_its_field(training):
    own = training("digits", 1)
    spec = own.spec.model_copy(update={"app": own.spec.app.model_copy(update={"evaluate": None})})
    with pytest.raises(UnfitTrainingError, match=r"spec\.app\.evaluate"):
        Simulation(_with(own, spec), [], [], None, 1).check()


def _with(training, spec):
    return replace(training, spec=spec)


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"alpha": 0.1}, UnfitTrainingError, "--alpha: spec.app.config has no alpha"),
        ({"rules": [Rule.KRUM]}, UnfitTrainingError, "needs 5 replies, and the training has 4"),
        ({"rules": [Rule.CLIPPED_MEAN]}, UnsoundPolicyError, "maxNorm"),
        ({"attacks": [bands(("ipm", 4))]}, TooManyAttackersError, "4 attackers"),
    ],
)
def test_what_cannot_be_simulated_is_refused_before_anything_runs(training, options, error, words):
    order = {"attacks": [], "rules": [], "alpha": None, "seeds": 1} | options
    with pytest.raises(error, match=words):
        Simulation(training("quickstart", 1), **order).check()


def test_attacks_given_together_attack_at_once_and_all_stands_for_each_alone():
    assert parse_bands(["ipm:2", "nan"], 3) == [bands(("ipm", 2), ("nan", 3))]
    alone = parse_bands(["all:1"], 3)
    assert [band.kind for (band,) in alone] == list(LabAttack)
    assert {band.count for (band,) in alone} == {1}
    assert parse_bands(["ipm"], 0) == [bands(("ipm", 1))]
    assert parse_bands([], 3) == []


@pytest.mark.parametrize("text", ["bogus", "ipm:", "ipm:0", "ipm:x", "ipm:-1", "all:²", ""])
def test_what_is_no_attack_is_refused(text):
    with pytest.raises(InvalidAttackError):
        parse_bands([text], 1)


def test_the_last_clients_attack_and_somebody_honest_is_left():
    assert assign(["a", "b", "c"], bands(("ipm", 1), ("nan", 1))) == {"b": LabAttack.IPM, "c": LabAttack.NAN}
    with pytest.raises(TooManyAttackersError):
        assign(["a", "b"], bands(("ipm", 2)))


def test_the_report_shows_the_median_seed(training, now):
    simulation = Simulation(training("digits", 1), [], [], None, 3)
    found = rows(simulation, now)
    row = found[DEFAULT, ()]
    shown = outcomes(simulation, list(found.values()))[1]
    assert shown.accuracy == sorted(row.accuracies)[1]
    assert median_trial(row) in row.trials
    assert "median of 3 seeds" in shown.label
